package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

var errNotInRanges = errors.New("bytes that are in no range were asked for")

// A rangesBlob gives the bytes of some ranges alone.
type rangesBlob struct {
	Blob
	only []Range
}

func (b *rangesBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	for _, r := range b.only {
		if off >= r.Offset && off+int64(len(p)) <= r.Offset+r.Length {
			return b.Blob.ReadAt(ctx, p, off)
		}
	}
	return 0, errNotInRanges
}

// The ranges of some files are enough to read those, and less than all.
func TestRanges(t *testing.T) {
	content := mixed(24<<20, 31)
	var files []file
	for i := range 48 {
		files = append(files, file{name: fmt.Sprintf("%02d", i), content: string(content[i<<19:][:1<<19])})
	}
	tarball := pack(t, files...)
	for name, packed := range map[string][]byte{
		"tar": tarball, "gzip": gzipped(t, tarball), "gzip of several members": members(t, tarball, 7, 6), "zstd of many frames": frames(t, tarball, 40),
	} {
		t.Run(name, func(t *testing.T) {
			s := source(packed)
			l := openLayer(t, s)
			m := applied(t, How{}, l)
			var wanted []Node
			for _, name := range []string{"03", "04", "40"} {
				n, ok := m.At(name)
				if !ok {
					t.Fatalf("%s isn't there", name)
				}
				wanted = append(wanted, n)
			}
			only := &rangesBlob{Blob: s.Blob, only: l.Ranges(wanted)}
			var sum int64
			for i, r := range only.only {
				if sum += r.Length; i > 0 && r.Offset <= only.only[i-1].Offset+only.only[i-1].Length {
					t.Errorf("ranges that meet: %v", only.only)
				}
			}
			if sum == 0 || sum > s.Size/2 {
				t.Errorf("%d of %d bytes for three files of 48", sum, s.Size)
			}
			s.Blob, s.Store = only, newMemoryStore() // what was unpacked so far isn't there
			var came atomic.Int64
			if err := l.Bring(t.Context(), only.only, func(n int64) { came.Add(n) }); err != nil || came.Load() < sum || came.Load() > sum+100 {
				t.Errorf("%d bytes of %d were brought, %v", came.Load(), sum, err)
			}
			for _, n := range wanted {
				p := make([]byte, 1<<19)
				var i int
				if _, err := fmt.Sscanf(n.Name(), "%d", &i); err != nil {
					t.Fatal(err)
				}
				if _, err := m.readFile(n, p, 0); err != nil || !bytes.Equal(p, content[i<<19:][:1<<19]) {
					t.Errorf("%s: %v", n.Name(), err)
				}
			}
			other, _ := m.At("20")
			if _, err := m.readFile(other, make([]byte, 1), 0); !errors.Is(err, errNotInRanges) {
				t.Errorf("a file that wasn't asked for: %v", err)
			}
		})
	}
}
