package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// mixed is n bytes of which some compress well, some not at all, so that there
// are blocks of every kind.
func mixed(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+1<<17)
	for len(b) < n {
		switch length := r.IntN(1 << 17); r.IntN(4) {
		case 0:
			b = append(b, make([]byte, length)...)
		case 1:
			b = append(b, strings.Repeat("the same again, ", length/16)...)
		case 2:
			for range length {
				b = append(b, byte(r.Uint32()))
			}
		default:
			for i := range length {
				b = append(b, byte('a'+r.IntN(1+i%20)))
			}
		}
	}
	return b[:n]
}

// members compresses data as so many gzip members.
func members(t testing.TB, data []byte, n, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	for i := range n {
		w, err := gzip.NewWriterLevel(&out, level)
		if err != nil {
			t.Fatal(err)
		}
		w.Name, w.Comment, w.Extra = "a name", "a comment", []byte("extra")
		if _, err := w.Write(data[len(data)*i/n : len(data)*(i+1)/n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func frames(t testing.TB, data []byte, n int) []byte {
	t.Helper()
	out := []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc") // a skippable one first
	for i := range n {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(i%2 == 0), zstd.WithSingleSegment(i%3 == 0))
		if err != nil {
			t.Fatal(err)
		}
		out = w.EncodeAll(data[len(data)*i/n:len(data)*(i+1)/n], out)
	}
	return out
}

// randomSize is that of what is read anywhere: some spans.
const randomSize = 5 << 20

// TestRandomReads reads anywhere in files of layers packed in every way, fresh
// and with the index that was kept.
func TestRandomReads(t *testing.T) {
	content := mixed(randomSize, 7)
	tarball := pack(t, file{name: "a", content: string(content[:randomSize/2])}, file{name: "b", content: string(content[randomSize/2:])})
	for name, packed := range map[string][]byte{
		"tar":               tarball,
		"gzip":              members(t, tarball, 1, 6),
		"gzip stored":       members(t, tarball, 1, 0),
		"gzip best":         members(t, tarball, 1, 9),
		"gzip of 7 members": members(t, tarball, 7, 6),
		"gzip of 500":       members(t, tarball, 500, 1),
		"gzip and zeros":    append(members(t, tarball, 1, 1), make([]byte, 5000)...),
		"zstd":              frames(t, tarball, 1),
		"zstd of 300":       frames(t, tarball, 300),
	} {
		t.Run(name, func(t *testing.T) {
			s := source(packed)
			s.DiffID = digest.FromBytes(tarball)
			for range 2 {
				l := openLayer(t, s)
				if size := l.index.bytes(); size > int64(len(tarball)/20) {
					t.Errorf("an index of %d bytes for a tar of %d", size, len(tarball))
				}
				readAnywhere(t, applied(t, How{Raw: true}, l), content)
			}
		})
	}
}

func readAnywhere(t *testing.T, m image, content []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		name, want := "a", content[:randomSize/2]
		if r.IntN(2) == 0 {
			name, want = "b", content[randomSize/2:]
		}
		n, ok := m.At(name)
		if !ok {
			t.Fatalf("%s isn't there", name)
		}
		off := r.IntN(len(want))
		p := make([]byte, 1+r.IntN(200_000))
		got, err := m.readFile(n, p, int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d of %s: %v", len(p), off, name, err)
		}
		if want := want[off:min(len(want), off+len(p))]; !bytes.Equal(p[:got], want) {
			t.Fatalf("%d bytes at %d of %s are wrong", len(p), off, name)
		}
	}
}

// Once a layer is indexed, a small read takes at most two spans of it.
func TestReadOfIndexedTakesTwoSpans(t *testing.T) {
	tarball := pack(t, file{name: "a", content: string(mixed(9<<20, 3))}, file{name: "b", content: "small"})
	s := source(members(t, tarball, 1, 6))
	openLayer(t, s)
	blob := &memoryBlob{data: s.Blob.(*memoryBlob).data}
	s.Blob = blob
	l := openLayer(t, s)
	if got := blob.read(); len(got) != 0 {
		t.Errorf("opening it again read %v", got)
	}
	m := applied(t, How{Raw: true}, l)
	n, _ := m.At("b")
	if _, err := m.readFile(n, make([]byte, 5), 0); err != nil {
		t.Fatal(err)
	}
	if got := blob.read(); len(got) != 1 || got[0].length > 2*minSpanTarget {
		t.Errorf("a small read took %v", got)
	}
}

// Whoever reads all files in their order has each span inflated once, not once
// for each file in it.
func TestAllFilesInflateEachSpanOnce(t *testing.T) {
	content := mixed(6<<20, 6)
	var files []file
	for i := range 300 {
		files = append(files, file{name: fmt.Sprintf("%03d", i), content: string(content[i*20_000:][:20_000])})
	}
	s := source(members(t, pack(t, files...), 1, 6))
	l := openLayer(t, s)
	m := applied(t, How{Raw: true}, l)
	for n := range m.Root().Entries("") {
		if _, err := m.readFile(n, make([]byte, 20_000), 0); err != nil {
			t.Fatal(err)
		}
	}
	if fills, spans := s.Store.(*memoryStore).counts().fills, l.index.spans.len(); fills != spans || spans < 3 {
		t.Errorf("%d spans were inflated %d times", spans, fills)
	}
}

// Every span is checked: what changes in a layer after it was indexed is found.
func TestChangedLayerIsFound(t *testing.T) {
	tarball := pack(t, file{name: "a", content: string(mixed(3<<20, 4))})
	for name, packed := range map[string][]byte{"gzip": members(t, tarball, 1, 6), "zstd": frames(t, tarball, 20)} {
		s := source(packed)
		openLayer(t, s)
		for _, at := range []int{len(packed) / 3, len(packed) / 2} {
			changed := bytes.Clone(packed)
			changed[at] ^= 1
			s.Blob = &memoryBlob{data: changed}
			s.Store = &freshMemory{s.Store.(*memoryStore)}
			l := openLayer(t, s)
			m := applied(t, How{Raw: true}, l)
			n, _ := m.At("a")
			if _, err := m.readFile(n, make([]byte, 3<<20), 0); !errors.Is(err, ErrDigest) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
			s.Store = s.Store.(*freshMemory).memoryStore
		}
	}
}

// freshMemory is a store that has kept no span.
type freshMemory struct{ *memoryStore }

func TestBrokenCompression(t *testing.T) {
	tarball := pack(t, file{name: "a", content: string(mixed(200_000, 5))})
	for name, packed := range map[string][]byte{"gzip": members(t, tarball, 3, 6), "zstd": frames(t, tarball, 3)} {
		for cut := 12; cut < len(packed); cut += 1 + cut/7 { // the first 11 may be a whole zstd frame
			if _, err := open(t.Context(), source(packed[:cut])); !errors.Is(err, ErrFormat) {
				t.Errorf("%s cut to %d of %d bytes: %v", name, cut, len(packed), err)
			}
		}
		if _, err := open(t.Context(), source(append(bytes.Clone(packed), "garbage"...))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s with garbage after it: %v", name, err)
		}
		s := source(packed)
		s.DiffID = digest.FromString("another tar")
		if _, err := open(t.Context(), s); !errors.Is(err, ErrDigest) {
			t.Errorf("%s of another tar: %v", name, err)
		}
	}
}

// What the format says of its content is compared on the way: the checksum and
// the size behind a gzip member, the checksum of a zstd frame.
func TestChecksumsOnTheWay(t *testing.T) {
	tarball := pack(t, file{name: "a", content: string(random(100_000))})
	gzip := members(t, tarball, 2, 0) // stored, so that a byte that changes is no error of deflate
	first := len(members(t, tarball[:len(tarball)/2], 1, 0))
	for name, at := range map[string]int{
		"a checksum": first - 8, "a size": first - 1, "the last checksum": len(gzip) - 5, "the last size": len(gzip) - 3, "a byte": first / 2,
	} {
		changed := bytes.Clone(gzip)
		changed[at] ^= 1
		if _, err := open(t.Context(), source(changed)); !errors.Is(err, ErrFormat) {
			t.Errorf("gzip with %s changed: %v", name, err)
		}
	}
	for _, checksum := range []bool{true, false} {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(checksum))
		if err != nil {
			t.Fatal(err)
		}
		changed := w.EncodeAll(tarball, nil)
		changed[len(changed)/2] ^= 1 // in a block that is stored as it is
		if _, err := open(t.Context(), source(changed)); errors.Is(err, ErrFormat) != checksum {
			t.Errorf("zstd with a byte changed, checksum %v: %v", checksum, err)
		}
	}
}

// random is n bytes that no compression makes smaller.
func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A bomb costs time, as it must to be told, and no memory.
func TestBomb(t *testing.T) {
	bomb := pack(t, file{name: "zeros", content: string(make([]byte, 40<<20))})
	for name, packed := range map[string][]byte{"gzip": members(t, bomb, 1, 1), "zstd": frames(t, bomb, 1)} {
		l := openLayer(t, source(packed))
		m := applied(t, How{Raw: true}, l)
		n, _ := m.At("zeros")
		p := []byte(strings.Repeat("x", 1000))
		if _, err := m.readFile(n, p, 35<<20); err != nil || !isZero(p) {
			t.Errorf("%s: %v", name, err)
		}
		for i := range l.index.spans.len() {
			if length := l.index.span(i).length; length > maxSpanTarget {
				t.Errorf("%s: a span of %d bytes", name, length)
			}
		}
	}
}

// More entries than there may be are an error, not memory.
func TestTooManyEntries(t *testing.T) {
	h := header("x", '0', 0)
	in := &endless{header: h}
	b := newBuilder(func(error) {})
	b.seen = maxEntries - 1000 // each counts, whatever it is
	err := scanTar(in, b)
	if !errors.Is(err, ErrTooLarge) || b.seen != maxEntries+1 {
		t.Errorf("%v", err)
	}
}

// endless is a tar of the same header again and again.
type endless struct{ header []byte }

func (e *endless) Read(p []byte) (int, error) { return copy(p, e.header), nil }
func (e *endless) Skip(int64) error           { return nil }

func FuzzGzip(f *testing.F) {
	tarball := pack(f, file{name: "a", content: strings.Repeat("hello ", 1000)})
	f.Add(members(f, tarball, 2, 6))
	f.Add(frames(f, tarball, 3))
	f.Add(members(f, tarball, 1, 0))
	f.Add(append(gzipped(f, tarball[:len(tarball)-1500]), 0, 0, 0))
	f.Add([]byte("\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\x00\x02\x00xxname\x00comment\x00xx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := open(t.Context(), source(data))
		if err == nil {
			show(applied(t, How{Raw: true}, l))
		}
	})
}

// indexOf is a layer's index without its checksum.
func indexOf(t testing.TB, s *Source) []byte {
	t.Helper()
	f, err := detect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(func(err error) { t.Error(err) })
	at, err := f.index(t.Context(), s, b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.finish(at)
	if err != nil {
		t.Fatal(err)
	}
	return raw[:len(raw)-sha256.Size]
}

// FuzzIndex gives the reader what a Store might give back. The checksum is left
// out: it is for accidents.
func FuzzIndex(f *testing.F) {
	for _, files := range [][]file{
		nil,
		{{name: "d/"}, {name: "d/a", content: "x"}, {name: "l", link: "d"}, {name: "h", hard: "d/a"}, {name: "i/j", hard: "gone"}, {name: "n", typ: '3', major: 1}},
	} {
		for _, data := range [][]byte{pack(f, files...), gzipped(f, pack(f, files...))} {
			f.Add(indexOf(f, source(data)))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := parseIndex(string(body))
		if err != nil {
			return
		}
		s := source([]byte("not what the index says"))
		if x.layout == layoutDerived {
			return
		}
		l, err := newLayer(s, x, fmt.Sprint(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		show(applied(t, How{Raw: true}, l))
		show(applied(t, How{}, l, l))
	})
}
