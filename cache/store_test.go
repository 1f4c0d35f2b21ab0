package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// opened is a store that a process of its own would have.
func opened(t *testing.T, dir string, k Key) *store {
	t.Helper()
	s, _ := open(t, Options{Dir: dir}).disk.open(k)
	if s == nil {
		t.Fatal("it can't be opened")
	}
	return s
}

// What is there stays as it is for whoever has a blob open: nobody else replaces or
// removes it.
func TestWhatOthersHaveStays(t *testing.T) {
	k := newSource(random(largeSize, 76)).key()
	dir := t.TempDir()
	one, two := opened(t, dir, k), opened(t, dir, k)
	first, second := random(ChunkSize, 77), random(ChunkSize, 78)
	if err := one.write(3, first); err != nil {
		t.Fatal(err)
	}
	one.unclaim(3, 3)
	if err := two.write(3, second); err == nil {
		t.Error("it was replaced")
	}
	two.unclaim(3, 3)
	if two.drop(3) {
		t.Error("it was removed")
	}
	p := make([]byte, ChunkSize)
	if err := one.read(3, p, 0); err != nil || !bytes.Equal(p, first) {
		t.Errorf("it is another: %v", err)
	}
	one.close()
	if err := two.write(3, second); err != nil {
		t.Errorf("who has it alone can't replace it: %v", err)
	}
	if err := two.read(3, p, 0); err != nil || !bytes.Equal(p, second) {
		t.Errorf("it isn't replaced: %v", err)
	}
	before := two.disk.usage.now()
	for range 2 {
		if !two.drop(3) {
			t.Error("who has it alone can't remove it")
		}
	}
	if freed := before - two.disk.usage.now(); freed < ChunkSize || freed >= 2*ChunkSize {
		t.Errorf("removing it twice freed %d bytes", freed)
	}
	if err := two.read(3, p, 0); !errors.Is(err, errGone) {
		t.Errorf("it is still there: %v", err)
	}
	two.close()
}

// One that can't make room in a blob that others have open knows what is still there.
func TestSharedPartialKeepsItsChunks(t *testing.T) {
	s := newSource(random(16<<20, 79))
	dir := t.TempDir()
	c := open(t, Options{Dir: dir, Size: 8 << 20, Memory: 1 << 20})
	r, _ := reader(t, c, s.key(), s)
	if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	settled(c)
	other := opened(t, dir, s.key())
	p := make([]byte, 1<<20)
	for off := 0; off < len(s.content); off += len(p) {
		if _, err := r.ReadAt(t.Context(), p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	settled(c)
	have, err := other.look(0, r.table.grid.chunks())
	if err != nil || !have[0] {
		t.Errorf("the first chunk is gone: %v", err)
	}
	kept := 0
	for _, h := range have {
		if h {
			kept++
		}
	}
	if n := len(r.table.kept); n != kept {
		t.Errorf("%d chunks are known of %d that are kept", n, kept)
	}
	other.close()
}

// A partial blob of which nothing came is removed with the last who has it open.
func TestEmptyPartialIsRemoved(t *testing.T) {
	s := newSource(random(largeSize, 86))
	s.fault = func(int, int64, int64) (fault, error) { return fault{}, errors.New("refused") }
	c := open(t, Options{Dir: t.TempDir()})
	if _, err := readPart(t, c, s.key(), s, 0, 10); err == nil {
		t.Fatal("it was read")
	}
	settled(c)
	if left, _ := filepath.Glob(filepath.Join(c.disk.root, "partial", "*")); len(left) > 0 {
		t.Errorf("left is %v", left)
	}
}

// What a fetch had claimed is free when it ends, however it ends.
func TestClaimsEnd(t *testing.T) {
	for name, f := range map[string]fault{
		"well":     {},
		"cut":      {cut: 3 * ChunkSize / 2},
		"no room":  {},
		"released": {delay: time.Millisecond, piece: 16 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(random(largeSize, 87))
			s.fault = func(int, int64, int64) (fault, error) { return f, nil }
			dir := t.TempDir()
			o := Options{Dir: dir, Memory: 64 << 20}
			c := open(t, o)
			if name == "no room" {
				c.disk.limit = 1
			}
			keep, _ := reader(t, c, s.key(), s)
			r, done := reader(t, c, s.key(), s)
			_, err := r.ReadAt(t.Context(), make([]byte, 2*ChunkSize), 0)
			if (err != nil) != (f.cut > 0) {
				t.Errorf("got %v", err)
			}
			done()
			settled(c)
			store := keep.table.store
			if store == nil {
				t.Fatal("there is no store")
			}
			other := opened(t, dir, s.key())
			last := keep.table.grid.chunks() - 1
			if first := other.claimed(0, last); first <= last {
				t.Errorf("chunk %d is still claimed", first)
			}
			other.close()
		})
	}
}

// Only one of those who have a blob open finishes it, and nothing stays claimed.
func TestFinishedOnce(t *testing.T) {
	content := random(largeSize, 88)
	k := newSource(content).key()
	dir := t.TempDir()
	one, two, three := opened(t, dir, k), opened(t, dir, k), opened(t, dir, k)
	last := one.grid.chunks() - 1
	for i := range last + 1 {
		if err := one.write(i, content[one.grid.offset(i):one.grid.offset(i+1)]); err != nil {
			t.Fatal(err)
		}
		one.unclaim(i, i)
	}
	if !one.finish() {
		t.Error("it isn't finished")
	}
	if two.finish() {
		t.Error("it is finished twice")
	}
	if first := three.claimed(0, last); first <= last {
		t.Errorf("chunk %d is still claimed", first)
	}
	if !two.disk.mayWrite() {
		t.Error("that it is finished counts as a failure of the disk")
	}
	one.close()
	three.close()
	if err := two.write(0, random(ChunkSize, 89)); err == nil {
		t.Error("a finished blob was written to")
	}
	two.close()
}

// Who finds a partial blob without a header clears it, unless another has begun it
// meanwhile.
func TestBegunMeanwhile(t *testing.T) {
	k := newSource(random(largeSize, 100)).key()
	d := open(t, Options{Dir: t.TempDir()}).disk
	path := d.partial(k)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	one, two := d.newStore(path, k), d.newStore(path, k)
	for _, s := range []*store{one, two} {
		if err := s.openFiles(os.O_RDWR | os.O_CREATE); err != nil {
			t.Fatal(err)
		}
	}
	data := random(ChunkSize, 101)
	if err := errors.Join(one.begin(k), one.write(0, data)); err != nil {
		t.Fatal(err)
	}
	one.close()
	if err := two.begin(k); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, ChunkSize)
	if err := two.read(0, p, 0); err != nil || !bytes.Equal(p, data) {
		t.Errorf("what another wrote is gone: %v", err)
	}
	two.close()
}
