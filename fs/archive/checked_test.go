package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A spoiltBlob gives wrong bytes to those who compare them, until they doubt them.
// To others it gives the right ones but for the last: then it has found out.
type spoiltBlob struct {
	memoryBlob
	right  []byte
	heals  bool // what is doubted is right from then on
	doubts int
}

var errSpoilt = errors.New("content doesn't match the blob's digest")

func (b *spoiltBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off+int64(len(p)) >= int64(len(b.data)) && !bytes.Equal(b.data, b.right) {
		return 0, errSpoilt
	}
	return b.memoryBlob.ReadAt(ctx, p, off)
}

// ReadChecked implements CheckedBlob.
func (b *spoiltBlob) ReadChecked(ctx context.Context, p []byte, off int64) (int, error) {
	return b.memoryBlob.ReadAt(ctx, p, off)
}

// Doubt implements CheckedBlob.
func (b *spoiltBlob) Doubt(_ context.Context, off, n int64) (bool, error) {
	b.doubts++
	changed := b.heals && !bytes.Equal(b.data[off:off+n], b.right[off:off+n])
	if changed {
		b.data = b.right
	}
	return changed, nil
}

// Verified tells whether it is known to be right.
func (b *spoiltBlob) Verified() bool { return false }

// spoil has the blob of a layer be wrong at some bytes.
func spoil(s *Source, heals bool, at ...int) *spoiltBlob {
	right := s.Blob.(*memoryBlob).data
	b := &spoiltBlob{right: right, heals: heals}
	b.data = bytes.Clone(right)
	for _, i := range at {
		b.data[i] ^= 0xff
	}
	s.Blob = b
	return b
}

// lazyLayers are layers of one file that are read without a pass, and where what
// the file is packed into begins.
func lazyLayers(t *testing.T, content string) (map[string]*Source, map[string]int) {
	t.Helper()
	layers, begins := map[string]*Source{}, map[string]int{}
	entry := fmt.Sprintf(`{"name":"f","type":"reg","size":%d,"offset":100,"digest":"%s"}`, len(content), sha256Of(content))
	before := make([]byte, 100)
	layers["eStargz"] = estargzLayer(t, append(before, gzipOf(t, content)...), tocOf(entry))
	layers["zstd:chunked"] = chunkedLayer(t, containersDialect, append(before, zstdOf(t, content)...), tocOf(entry))
	soci, z := sociLayer(t)
	soci.ZTOC = z.encode()
	layers["SOCI"] = soci
	indexed := source(gzipped(t, pack(t, file{name: "f", content: content})))
	openLayer(t, indexed)
	layers["indexed before"] = indexed
	begins["eStargz"], begins["zstd:chunked"], begins["SOCI"], begins["indexed before"] = 100, 100, 10, 10
	return layers, begins
}

// What doesn't match its digest, or can't even be unpacked, is fetched again, once.
func TestWrongSpanIsFetchedAgain(t *testing.T) {
	content := strings.Repeat("content ", 1000)
	for _, heals := range []bool{true, false} {
		for _, within := range []int{0, 12} { // what can't be unpacked, and what may be
			layers, begins := lazyLayers(t, content)
			for name, s := range layers {
				b := spoil(s, heals, begins[name]+within)
				m := applied(t, How{Raw: true}, openLayer(t, s))
				f, ok := m.At("f")
				if !ok {
					t.Fatalf("%s: no file", name)
				}
				n := len(content)
				if name == "SOCI" {
					n = len("content")
				}
				got := make([]byte, n)
				_, err := m.readFile(f, got, 0)
				switch {
				case heals && (err != nil || string(got) != content[:n]):
					t.Errorf("%s, byte %d, wrong once: %v", name, within, err)
				case !heals && !isWrong(err):
					t.Errorf("%s, byte %d, wrong for good: %v", name, within, err)
				case b.doubts != 1:
					t.Errorf("%s, byte %d: doubted %d times", name, within, b.doubts)
				}
			}
		}
	}
}

// So is a table of contents.
func TestWrongTOCIsFetchedAgain(t *testing.T) {
	layers, _ := lazyLayers(t, "content")
	for name, at := range map[string][]int{
		"eStargz":      {-51, -30, -120}, // the footer, and the table
		"zstd:chunked": {-1, -20},
	} {
		for _, at := range at {
			s := layers[name]
			if b, ok := s.Blob.(*spoiltBlob); ok {
				s.Blob = &b.memoryBlob // of the last time; it is right again
			}
			s.Store = newMemoryStore()
			size := int(s.Size)
			b := spoil(s, true, size+at)
			s.Passed = func(*Layer) { t.Errorf("%s, byte %d: a pass goes through it", name, at) }
			mustShow(t, applied(t, How{Raw: true}, openLayer(t, s)), "f=content")
			if b.doubts != 1 {
				t.Errorf("%s, byte %d: doubted %d times", name, at, b.doubts)
			}
		}
	}
}

// A layer that says it has a table of contents, and hasn't one that can be used,
// is verified before anything of it is given out: it would be read more carefully
// with the table, and whoever spoils that mustn't gain by it.
func TestWithoutItsTOCALayerIsVerifiedFirst(t *testing.T) {
	content := string(random(6 << 20))
	layers, _ := lazyLayers(t, content)
	tarball := pack(t, file{name: "first", content: "1"}, file{name: "f", content: content}, file{name: "last", content: content[:3<<20]})
	for name, s := range layers {
		if name == "indexed before" {
			continue
		}
		// The pass would go well, but for the last byte.
		data := gzipped(t, tarball)
		if name == "zstd:chunked" {
			data = frames(t, tarball, 20)
		}
		of := *s
		of.Blob, of.Size, of.ZTOC = &memoryBlob{data: data}, int64(len(data)), s.ZTOC
		b := spoil(&of, false, len(data)-1)
		of.Passed = func(*Layer) { t.Errorf("%s: something is shown", name) }
		if _, err := open(t.Context(), &of); !errors.Is(err, errSpoilt) {
			t.Errorf("%s, spoilt: %v", name, err)
		}
		b.data = b.right
		of.Passed = nil
		if l, err := open(t.Context(), &of); err != nil || l.identity != of.key("") {
			t.Errorf("%s, right but for its table: %v", name, err)
		}
	}
}

// What is unpacked as a whole and breaks off was perhaps spoilt: then that is the
// error, and what was spoilt is found out.
func TestUnpackingSpoiltBlob(t *testing.T) {
	tarball := pack(t, file{name: "a", content: string(random(10 << 20))})
	for name, data := range map[string][]byte{"gzip": gzipped(t, tarball), "zstd": frames(t, tarball, 1)} {
		for _, at := range []int{0, 12, 30, len(data) / 2} {
			s := source(data)
			spoil(s, false, at)
			in, err := s.unpack(t.Context())
			if err == nil {
				_, err = io.Copy(io.Discard, in)
				_ = in.Close() // it never fails
			}
			if !errors.Is(err, errSpoilt) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
		}
	}
}
