package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzSums reads chunks by sums that anybody may have written: what is given was
// written, or nothing is.
func FuzzSums(f *testing.F) {
	const size = 2*ChunkSize + 100
	content := random(size, 70)
	k := Key{Digest: digest.FromBytes(content), Size: size}
	header := sumsHeader(k.Digest, size)
	seed := header[headerSize-4:]
	whole := bytes.Clone(header)
	g := grid{size}
	for i := range g.chunks() {
		whole = append(whole, newSlot(seed, i, content[g.offset(i):g.offset(i+1)])[:]...)
	}
	f.Add(whole)
	f.Add(header)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(header), make([]byte, 3*slotSize)...))
	f.Add(append(sumsHeader(digest.FromString("another"), size), whole[headerSize:]...))
	f.Add(append(sumsHeader(k.Digest, size-1), whole[headerSize:]...))
	f.Add(bytes.Replace(whole, []byte(sumsMagic), []byte("orasfss1"), 1))
	swapped := bytes.Clone(whole)
	copy(swapped[headerSize:], whole[headerSize+slotSize:headerSize+2*slotSize])
	f.Add(swapped)
	for _, at := range []int{0, 9, 17, 30, headerSize - 1, headerSize, headerSize + slotSize - 1, len(whole) - 1} {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1
		f.Add(flipped)
	}
	dir := f.TempDir()
	wrong := bytes.Clone(content)
	wrong[ChunkSize+5] ^= 1
	if err := os.WriteFile(filepath.Join(dir, dataName), wrong, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, sumsName), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := sizeInHeader(raw, k.Digest); ok && !bytes.Equal(raw[:headerSize], sumsHeader(k.Digest, got)) {
			t.Errorf("a header that isn't one gives %d", got)
		}
		s := (&disk{root: dir}).newStore(dir, k)
		if err := s.openFiles(os.O_RDONLY); err != nil {
			t.Fatal(err)
		}
		defer s.data.Close()     //nolint:errcheck // it was only read
		defer s.sums.Close()     //nolint:errcheck // likewise
		s.touched.Store(1 << 60) // it isn't to be noted
		have, err := s.look(0, g.chunks())
		if err != nil {
			t.Fatal(err)
		}
		for i := range g.chunks() {
			p := make([]byte, g.length(i))
			err := s.read(i, p, 0)
			switch {
			case err != nil && !errors.Is(err, errDamaged):
				t.Fatal(err)
			case err == nil && (!have[i] || !bytes.Equal(p, content[g.offset(i):g.offset(i+1)])):
				t.Errorf("chunk %d is given, and it isn't what it was", i)
			}
		}
		last := g.chunks() - 1
		if bytes.Equal(raw, whole) && (!have[0] || s.read(1, make([]byte, 10), 0) == nil || s.read(last, make([]byte, 10), 3) != nil) {
			t.Error("the good chunks aren't given, or the bad one is")
		}
	})
}

// An index that lies in the place of another, is cut, or has another form is none.
func TestIndexOfAnother(t *testing.T) {
	for name, spoil := range map[string]func(a, b []byte) []byte{
		"swapped":       func(_, b []byte) []byte { return b },
		"cut":           func(a, _ []byte) []byte { return a[:len(a)-1] },
		"header alone":  func(a, _ []byte) []byte { return a[:len(indexMagic)+2] },
		"empty":         func(_, _ []byte) []byte { return nil },
		"longer":        func(a, _ []byte) []byte { return append(a, 0) },
		"other version": func(a, _ []byte) []byte { return bytes.Replace(a, []byte(indexMagic), []byte("orasfsi1"), 1) },
		"flipped":       func(a, _ []byte) []byte { a[len(a)-1] ^= 1; return a },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, Options{Dir: dir})
			c.PutIndex("sha256:aa", []byte("index of a"))
			c.PutIndex("sha256:bb", []byte("index of b"))
			path := func(name string) string { return filepath.Join(c.disk.root, "indexes", name) }
			a, err := os.ReadFile(path("sha256-aa"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path("sha256-bb"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path("sha256-aa"), spoil(a, b), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, ok := c.Index("sha256:aa"); ok {
				t.Errorf("%q is given", got)
			}
			if _, err := os.Lstat(path("sha256-aa")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it stays: %v", err)
			}
			if got, ok := c.Index("sha256:bb"); !ok || string(got) != "index of b" {
				t.Errorf("the other: %q, %v", got, ok)
			}
			c.PutIndex("sha256:aa", []byte("anew"))
			if got, ok := c.Index("sha256:aa"); !ok || string(got) != "anew" {
				t.Errorf("made anew: %q, %v", got, ok)
			}
		})
	}
}

// A disk that can't be read for a while isn't damaged: nothing is removed, the
// bytes come from the source meanwhile, and from disk later.
func TestReadErrorIsNoDamage(t *testing.T) {
	for name, file := range map[string]func(*store) *os.File{
		"data": func(s *store) *os.File { return s.data },
		"sums": func(s *store) *os.File { return s.sums },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(random(largeSize, 71))
			dir := t.TempDir()
			c := open(t, Options{Dir: dir, Memory: 1 << 20, WaitForDisk: true})
			mustRead(t, c, s.key(), s, s.content)
			shut(t, c)
			c = open(t, Options{Dir: dir, Memory: 1 << 20})
			b, err := c.Blob(s.key(), s)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close() //nolint:errcheck // it never fails
			if err := b.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			mend := breakFile(t, file(b.table.store))
			got, err := readPart(t, c, s.key(), s, 3*ChunkSize, 100)
			if err != nil {
				t.Fatal(err)
			}
			mustEqual(t, got, s.content[3*ChunkSize:][:100])
			settled(c)
			mend()
			if n := c.Stats().WrongOnDisk; n != 0 {
				t.Errorf("%d damages are counted", n)
			}
			if err := errors.Join(b.Close(), c.Close()); err != nil {
				t.Fatal(err)
			}
			mustRead(t, open(t, Options{Dir: dir}), s.key(), newSource(nil), s.content)
		})
	}
}

// What a lying source sends for a chunk that can't be read now isn't written over
// it, in a complete blob or in one that others have open.
func TestWhatIsThereStays(t *testing.T) {
	content := random(largeSize, 72)
	k := newSource(content).key()
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mustRead(t, c, k, newSource(content), content)
	settled(c)
	other := open(t, Options{Dir: dir})
	b, err := other.Blob(k, newSource(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	if err := b.Look(t.Context()); err != nil || b.File() == nil {
		t.Fatalf("it isn't complete: %v", err)
	}
	flipByte(t, filepath.Join(c.disk.blob(k.Digest), dataName), 3*ChunkSize)
	if got, err := readPart(t, open(t, Options{Dir: dir}), k, newSource(content), 3*ChunkSize, 100); err != nil || !bytes.Equal(got, content[3*ChunkSize:][:100]) {
		t.Errorf("the damaged chunk: %v", err)
	}
	if _, ok := c.CachedSize(k.Digest); !ok {
		t.Error("it was moved away from those who have it open")
	}
	bad := newSource(bytes.Clone(content))
	copy(bad.content[3*ChunkSize:], sameChecksum(content[3*ChunkSize:4*ChunkSize]))
	third := open(t, Options{Dir: dir})
	if _, err := readPart(t, third, k, bad, 3*ChunkSize, 100); !errors.Is(err, ErrDigest) {
		t.Errorf("the wrong chunk: %v", err)
	}
	settled(third)
	on := make([]byte, ChunkSize)
	if _, err := b.File().ReadAt(on, 3*ChunkSize); err != nil {
		t.Fatal(err)
	}
	on[0] ^= 0x40 // the damage
	mustEqual(t, on, content[3*ChunkSize:4*ChunkSize])
}

// A complete blob in the place of another isn't that.
func TestBlobInThePlaceOfAnother(t *testing.T) {
	a, b := newSource(random(largeSize, 73)), newSource(random(largeSize, 74))
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mustRead(t, c, a.key(), a, a.content)
	mustRead(t, c, b.key(), b, b.content)
	shut(t, c)
	pa, pb := c.disk.blob(a.key().Digest), c.disk.blob(b.key().Digest)
	if err := errors.Join(os.Rename(pa, pa+"x"), os.Rename(pb, pa), os.Rename(pa+"x", pb)); err != nil {
		t.Fatal(err)
	}
	c = open(t, Options{Dir: dir})
	if _, ok := c.CachedSize(a.key().Digest); ok {
		t.Error("another blob has the size")
	}
	mustRead(t, c, a.key(), a, a.content)
	mustRead(t, c, b.key(), b, b.content)
}

// A slot is that of its chunk, and of its blob.
func TestSlotsOfAnother(t *testing.T) {
	data := random(ChunkSize, 75)
	seed := []byte("seed")
	s := newSlot(seed, 5, data)
	if !s.holds(seed, 5) || !s.matches(0, data) {
		t.Error("it isn't its own")
	}
	if s.holds(seed, 6) {
		t.Error("it is another chunk's")
	}
	if s.holds([]byte("soot"), 5) {
		t.Error("it is another blob's")
	}
}
