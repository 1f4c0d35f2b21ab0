package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// here asks how much of a blob is on disk, without a source that could be asked.
func here(t *testing.T, c *Cache, k Key, off, n int64) int64 {
	t.Helper()
	b, err := c.Blob(k, newSource(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	got, err := b.Here(t.Context(), off, n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// fill reads all of a blob and tells whether it is kept.
func fill(t *testing.T, c *Cache, s *source) bool {
	t.Helper()
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	if err := b.Fill(t.Context(), func(int64) {}); err != nil {
		t.Fatal(err)
	}
	kept, err := b.Kept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// What is on disk of a blob is told to the byte: while it comes, in the next process,
// and when it is whole.
func TestHere(t *testing.T) {
	const size = 20*ChunkSize + 7
	s := newSource(random(size, 61))
	o := Options{Dir: t.TempDir(), Concurrency: 1}
	c := open(t, o)
	if got := here(t, c, s.key(), 0, size); got != 0 {
		t.Errorf("%d bytes are here of what nobody has read", got)
	}
	for _, i := range []int64{3, 4, 20} {
		if _, err := readPart(t, c, s.key(), s, i*ChunkSize+5, 2); err != nil {
			t.Fatal(err)
		}
	}
	settled(c)
	for range 2 { // in the next process as well
		for _, want := range [][3]int64{
			{0, size, 2*ChunkSize + 7}, {0, 3 * ChunkSize, 0}, {3 * ChunkSize, ChunkSize, ChunkSize}, {3*ChunkSize + 1, 2, 2},
			{4*ChunkSize + 10, ChunkSize, ChunkSize - 10}, {20 * ChunkSize, ChunkSize, 7}, {size, 1, 0}, {-1, 5 * ChunkSize, 0}, {5, 0, 0},
		} {
			if got := here(t, c, s.key(), want[0], want[1]); got != want[2] {
				t.Errorf("of %d bytes at %d %d are here, not %d", want[1], want[0], got, want[2])
			}
		}
		other := s.key()
		if other.Origin = "other.example"; here(t, c, other, 0, size) != 0 {
			t.Error("what isn't verified is here for another origin")
		}
		shut(t, c)
		c = open(t, o)
	}
	if !fill(t, c, s) {
		t.Error("all of it isn't kept")
	}
	for range 2 {
		other := s.key()
		if other.Origin = "other.example"; here(t, c, other, 0, size) != size || here(t, c, s.key(), 1, 5) != 5 {
			t.Error("what is whole isn't here")
		}
		shut(t, c)
		c = open(t, o)
	}
}

// What is damaged isn't here: a file that is too short, and sums that aren't its own.
func TestHereDamaged(t *testing.T) {
	const size = 20 * ChunkSize
	for name, damage := range map[string]func(dir string) error{
		"data": func(dir string) error { return os.Truncate(filepath.Join(dir, dataName), size/2) },
		"sums": func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, sumsName), os.O_RDWR, 0) //nolint:gosec // the test's own
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, headerSize), 0)
			return errors.Join(err, f.Close())
		},
	} {
		s := newSource(random(size, 62))
		o := Options{Dir: t.TempDir()}
		c := open(t, o)
		if !fill(t, c, s) {
			t.Fatal("it isn't kept")
		}
		shut(t, c)
		c = open(t, o)
		if err := damage(c.disk.blob(s.key().Digest)); err != nil {
			t.Fatal(err)
		}
		if got := here(t, c, s.key(), 0, size); got != 0 {
			t.Errorf("%s: %d bytes are here", name, got)
		}
		if !fill(t, c, s) || here(t, c, s.key(), 0, size) != size {
			t.Errorf("%s: it isn't kept again", name)
		}
	}
}

// A small blob is here as a whole or not at all.
func TestHereSmall(t *testing.T) {
	s := newSource(random(1000, 63))
	c := open(t, Options{Dir: t.TempDir()})
	if got := here(t, c, s.key(), 0, 1000); got != 0 {
		t.Errorf("%d bytes are here", got)
	}
	if !fill(t, c, s) {
		t.Error("it isn't kept")
	}
	if got := here(t, c, s.key(), 100, 2000); got != 900 {
		t.Errorf("%d bytes are here, not 900", got)
	}
	if err := os.WriteFile(c.disk.blob(s.key().Digest), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := here(t, c, s.key(), 0, 1000); got != 0 {
		t.Errorf("%d bytes are here of what is damaged", got)
	}
	memory := open(t, Options{})
	if fill(t, memory, s) || here(t, memory, s.key(), 0, 1000) != 0 || memory.Room() != 0 {
		t.Error("without a disk something is on it")
	}
}

// Kept waits for what is on its way to the disk, and no longer than its context.
func TestKept(t *testing.T) {
	s := newSource(random(20*ChunkSize, 64))
	c := open(t, Options{Dir: t.TempDir(), WaitForDisk: true})
	disk := make(chan struct{})
	for range queueWriters {
		c.disk.queue.put(func() { <-disk }, func() {})
	}
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	if err := b.Fill(t.Context(), func(int64) {}); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(10*keptStep, interrupt)
	if kept, err := b.Kept(ctx); kept || !errors.Is(err, context.Canceled) {
		t.Errorf("while nothing is on disk: %v, %v", kept, err)
	}
	close(disk)
	if kept, err := b.Kept(t.Context()); !kept || err != nil {
		t.Errorf("after that: %v, %v", kept, err)
	}
	// Of a part it is that it isn't whole, once it is there.
	s = newSource(random(20*ChunkSize, 65))
	if _, err := readPart(t, c, s.key(), s, 0, 10); err != nil {
		t.Fatal(err)
	}
	if b, err = c.Blob(s.key(), s); err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	if kept, err := b.Kept(t.Context()); kept || err != nil || here(t, c, s.key(), 0, 10) != 10 {
		t.Errorf("of a part: %v, %v", kept, err)
	}
}

// Who waits for the disk loses nothing to one that is slower than what comes.
func TestWaitForDisk(t *testing.T) {
	s := newSource(random((maxQueued+16)*ChunkSize, 66))
	c := open(t, Options{Dir: t.TempDir(), WaitForDisk: true})
	disk := make(chan struct{})
	for range queueWriters {
		c.disk.queue.put(func() { <-disk }, func() {})
	}
	time.AfterFunc(queuePatience+queuePatience/2, func() { close(disk) }) // longer than a reader's connection waits
	if !fill(t, c, s) {
		t.Error("it isn't kept")
	}
	if total, _ := s.bytesSent(); total != s.key().Size {
		t.Errorf("%d bytes came of %d", total, s.key().Size)
	}
}

// Room is what the limit or the file system leaves, whichever is less.
func TestRoom(t *testing.T) {
	dir := smallDisk(t, "32m")
	c := open(t, Options{Dir: dir, Size: 16 << 20})
	counted(c)
	if got := c.Room(); got != 15<<20 {
		t.Errorf("room for %d bytes of 16 MiB", got)
	}
	shut(t, c)
	c = open(t, Options{Dir: dir, Size: 1 << 30})
	if got := c.Room(); got < 28<<20 || got > 31<<20 {
		t.Errorf("room for %d bytes on a disk of 32 MiB", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "others"), random(20<<20, 67), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.Room(); got < 8<<20 || got > 11<<20 {
		t.Errorf("room for %d bytes beside 20 MiB of others", got)
	}
	c.disk.failed("a test", dir, errReadOnly)
	if got := c.Room(); got != 0 {
		t.Errorf("room for %d bytes where nothing can be written", got)
	}
}
