package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

// numbered are files of 100,000 bytes of content each.
func numbered(content []byte) []file {
	var files []file
	for i := 0; (i+1)*100_000 <= len(content); i++ {
		files = append(files, file{name: fmt.Sprintf("%03d", i), content: string(content[i*100_000:][:100_000])})
	}
	return files
}

// readNumbered reads file i.
func readNumbered(m image, i int) ([]byte, error) {
	n, ok := m.At(fmt.Sprintf("%03d", i))
	if !ok {
		return nil, errors.New("it isn't there")
	}
	p := make([]byte, 100_000)
	_, err := m.readFile(n, p, 0)
	return p, err
}

// What a pass has unpacked needn't be unpacked again, neither while it goes on
// nor after it.
func TestPassKeepsItsSpans(t *testing.T) {
	content := mixed(12<<20, 14)
	tarball := pack(t, numbered(content)...)
	for name, packed := range map[string][]byte{"gzip": members(t, tarball, 2, 1), "gzip of 300": members(t, tarball, 300, 1), "zstd": frames(t, tarball, 40)} {
		s := source(packed)
		m := applied(t, How{}, openLayer(t, s))
		s.Blob.(*memoryBlob).read()
		for i := range len(content) / 100_000 {
			if got, err := readNumbered(m, i); err != nil || !bytes.Equal(got, content[i*100_000:][:100_000]) {
				t.Fatalf("%s: file %d: %v", name, i, err)
			}
		}
		if reads := s.Blob.(*memoryBlob).read(); len(reads) > 0 {
			t.Errorf("%s: after the pass it was read again: %v", name, reads)
		}
		if spans := m.layers[0].index.spanCount(); s.Store.(*memoryStore).counts().fills != spans || spans < 4 {
			t.Errorf("%s: %d spans were filled %d times", name, spans, s.Store.(*memoryStore).counts().fills)
		}
	}
}

// Of a pass that failed nothing is given any more: neither by what it showed, nor
// to those who open the layer again.
func TestFailedPassIsForgotten(t *testing.T) {
	content := mixed(20<<20, 15)
	packed := members(t, pack(t, numbered(content)...), 1, 0)
	at := bytes.Index(packed, content[100_100:100_150])
	wrong := bytes.Clone(packed)
	wrong[at] ^= 1
	s := source(packed)
	s.Blob = &memoryBlob{data: wrong}
	var shown *image
	s.Passed = func(l *Layer) {
		if shown != nil {
			return
		}
		m := applied(t, How{}, l)
		shown = &m
		if got, err := readNumbered(*shown, 1); err != nil || bytes.Equal(got, content[100_000:][:100_000]) {
			t.Errorf("while the pass goes on, the wrong file: %v", err)
		}
	}
	if _, err := open(t.Context(), s); !errors.Is(err, ErrFormat) || shown == nil {
		t.Fatalf("the layer is opened, or nothing of it was seen: %v", err)
	}
	for i := range 3 {
		if _, err := readNumbered(*shown, i); !errors.Is(err, ErrFormat) {
			t.Errorf("after the pass failed, file %d: %v", i, err)
		}
	}
	s.Blob = &memoryBlob{data: packed}
	for range 2 {
		s.Passed = nil
		m := applied(t, How{}, openLayer(t, s))
		for i := range 3 {
			if got, err := readNumbered(m, i); err != nil || !bytes.Equal(got, content[i*100_000:][:100_000]) {
				t.Errorf("when it is right again, file %d: %v", i, err)
			}
		}
	}
}

// A generations is a blob that becomes another one when it was read up to an
// offset.
type generations struct {
	*memoryBlob
	at  int64
	now uint64
}

// ReadAt implements Blob.
func (g *generations) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off >= g.at {
		g.now = 2
	}
	return g.memoryBlob.ReadAt(ctx, p, off)
}

// Generation tells the contents apart.
func (g *generations) Generation() uint64 { return g.now }

// A pass that is of two contents is of none.
func TestBlobThatBecomesAnother(t *testing.T) {
	tarball := pack(t, numbered(mixed(4<<20, 16))...)
	for name, packed := range map[string][]byte{"tar": tarball, "gzip": gzipped(t, tarball), "zstd": frames(t, tarball, 4)} {
		s := source(packed)
		s.Blob = &generations{memoryBlob: s.Blob.(*memoryBlob), at: 600 << 10, now: 1}
		if _, err := open(t.Context(), s); !errors.Is(err, ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := open(t.Context(), s); err != nil {
			t.Errorf("%s, when it stays what it is: %v", name, err)
		}
	}
}

// However long the compressed bytes of a span are, what is remembered of them is
// bounded: of zeros after the last gzip member, say.
func TestRecorderIsBounded(t *testing.T) {
	r := &recorder{in: io.LimitReader(zeros{}, 2*maxPacked)}
	largest := 0
	for p := make([]byte, 1<<20); ; {
		n, err := r.Read(p)
		largest = max(largest, len(r.kept))
		if n == 0 && err != nil {
			break
		}
	}
	if largest > maxPacked+streamBuffer || r.end() != 2*maxPacked {
		t.Errorf("%d bytes were remembered, of %d", largest, r.end())
	}
	tarball := pack(t, numbered(mixed(5<<20, 17))...)
	s := source(slices.Concat(gzipped(t, tarball), make([]byte, maxPacked+2*streamBuffer)))
	if l := openLayer(t, s); l.index.layout != layoutDerived {
		t.Errorf("the layout is %d", l.index.layout)
	}
}

// zeros gives nothing else.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A block of deflate that never ends would be a span too long: what is gathered of
// it is bounded before it ends.
func TestLongSpanIsGivenUp(t *testing.T) {
	s := source(nil)
	s.passing = newPassing(s)
	c, err := newSpanCutter(t.Context(), s, newBuilder(nil))
	if err != nil {
		t.Fatal(err)
	}
	c.cut(0, span{})
	largest := 0
	for unpacked := 0; !c.tooLong && unpacked < 2*maxSpan; unpacked += passPiece {
		out, _ := c.room(passPiece)
		c.unpacked(passPiece)
		largest = max(largest, cap(out))
	}
	// From then on it is unpacked to one place, however often it is found too long.
	arrays := map[*byte]bool{}
	c.expected = passSpan // as that of a large layer
	for range 6 {
		out, _ := c.room(passPiece)
		arrays[&out[0]] = true
		c.unpacked(passPiece)
		c.giveUp()
	}
	if len(arrays) > 1 {
		t.Errorf("%d pieces went to %d places", 6, len(arrays))
	}
	if !c.tooLong || len(c.out) > 4<<20 || largest > maxSpan+maxSpan/2+(2<<20) {
		t.Errorf("given up: %v, %d bytes, %d at the end", c.tooLong, largest, len(c.out))
	}
}
