package cache

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// fillAll is Fill of a blob, with how far it said it had come.
func fillAll(t *testing.T, c *Cache, s *source) (told []int64, err error) {
	t.Helper()
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	err = b.Fill(t.Context(), func(here int64) { told = append(told, here) })
	return told, err
}

// Each byte of a blob is asked for once, in requests that are worth it, and it is on disk
// and verified then. Of one that is there in part the rest is asked for.
func TestFill(t *testing.T) {
	const size, there = 150*ChunkSize + 7, 20 * ChunkSize
	s := newSource(random(size, 71))
	o := Options{Dir: t.TempDir(), Concurrency: 4, WaitForDisk: true}
	c := open(t, o)
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Exact()
	if _, err := r.ReadAt(t.Context(), make([]byte, there), 30*ChunkSize); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
	c = open(t, o)
	asked := s.fetches()
	told, err := fillAll(t, c, s)
	if err != nil || !slices.IsSorted(told) || told[len(told)-1] != size || len(told) != 151 {
		t.Errorf("%d steps, %v", len(told), err)
	}
	if total, chunk := s.bytesSent(); total != size || chunk != ChunkSize {
		t.Errorf("%d bytes were sent, and %d of one chunk", total, chunk)
	}
	for _, call := range s.calls[asked:] {
		if call[1] < minPiece && call[0]+call[1] < size && call[0]+call[1] != 30*ChunkSize && call[0] != 50*ChunkSize {
			t.Errorf("%d bytes were asked for at %d", call[1], call[0])
		}
	}
	if !fill(t, c, s) || here(t, c, s.key(), 0, size) != size {
		t.Error("it isn't kept")
	}
	asked = s.fetches()
	if told, err := fillAll(t, c, s); err != nil || told[len(told)-1] != size || s.fetches() != asked {
		t.Errorf("once more: %d requests, %v", s.fetches()-asked, err)
	}
}

// Pieces are smaller towards the end, and none is larger than what may wait for the first.
func TestFillPieces(t *testing.T) {
	c := open(t, Options{Concurrency: 4})
	f := &filling{table: &table{cache: c, grid: grid{size: 1<<30 + 1}}}
	last, sum := int64(maxPiece), int64(0)
	for first, end := f.piece(); first < end; first, end = f.piece() {
		g := f.table.grid
		n := g.offset(end) - g.offset(first)
		if n > last || n < minPiece && end != g.chunks() {
			t.Errorf("a piece of %d bytes after one of %d", n, last)
		}
		last, sum = n, sum+n
	}
	if sum != 1<<30+1 || last > 2*minPiece {
		t.Errorf("%d bytes in all, %d in the last piece", sum, last)
	}
}

// While the end of a piece comes the next one is asked for.
func TestFillAsksAhead(t *testing.T) {
	s := newSource(random(3*minPiece, 72))
	s.fault = func(call int, _, n int64) (fault, error) {
		return fault{cut: (n - n/pieceEnd) * int64(b2i(call == 0)), stall: true}, nil
	}
	c := open(t, Options{Dir: t.TempDir(), Concurrency: 1})
	b := blobOf(t, c, s.key(), s)
	ctx, interrupt := context.WithCancel(t.Context())
	filled := make(chan error)
	go func() { filled <- b.Fill(ctx, func(int64) {}) }()
	for s.fetches() < 2 {
		time.Sleep(time.Millisecond)
	}
	interrupt()
	if err := <-filled; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What comes before the disk is there isn't put on it, so who fills it waits for it.
func TestFillWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 77))
		c := open(t, Options{Dir: t.TempDir(), WaitForDisk: true})
		b := blobOf(t, c, s.key(), s)
		disk := newFlight()
		b.table.disk.closing = disk
		filled := make(chan error)
		go func() { filled <- b.Fill(t.Context(), func(int64) {}) }()
		time.Sleep(10 * attachPatience)
		if s.fetches() > 0 {
			t.Error("it didn't wait")
		}
		disk.land(nil, nil)
		if err := <-filled; err != nil {
			t.Error(err)
		}
		if kept, err := b.Kept(t.Context()); !kept || err != nil {
			t.Errorf("it isn't kept: %v", err)
		}
	})
}

// Of a source without ranges nothing comes twice, and nobody asks again once that is known.
func TestFillOfAStream(t *testing.T) {
	s := newSource(random(8*minPiece, 73))
	s.ignores = true
	s.hold = func(context.Context, int, int64) error {
		for s.fetches() < 4 { // all have asked before they are answered
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	c := open(t, Options{Dir: t.TempDir(), Concurrency: 4, WaitForDisk: true})
	if _, err := fillAll(t, c, s); err != nil {
		t.Error(err)
	}
	if _, chunk := s.bytesSent(); chunk > ChunkSize || s.fetches() > 4 {
		t.Errorf("%d bytes of one chunk were sent, in %d requests", chunk, s.fetches())
	}
	if !fill(t, c, s) {
		t.Error("it isn't kept")
	}
}

// A blob that is wrong, or that can't be had, is an error, and small ones are filled too.
func TestFillFails(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir()})
	wrong := newSource(random(largeSize, 74))
	wrong.fault = func(_ int, off, _ int64) (fault, error) { return fault{flip: off == 0}, nil }
	if _, err := fillAll(t, c, wrong); !errors.Is(err, ErrDigest) {
		t.Errorf("a wrong one: %v", err)
	}
	gone := newSource(random(largeSize, 75))
	missing := errors.New("missing")
	gone.fault = func(_ int, off, _ int64) (_ fault, err error) {
		if off > 0 {
			err = missing
		}
		return fault{}, err
	}
	if _, err := fillAll(t, c, gone); !errors.Is(err, missing) {
		t.Errorf("one that isn't there: %v", err)
	}
	small := newSource(random(1000, 76))
	if told, err := fillAll(t, c, small); err != nil || !slices.Equal(told, []int64{1000}) {
		t.Errorf("a small one: %v, %v", told, err)
	}
}

// Where there is no room for what a stream brings, it rests only as long as nobody waits:
// who fills does.
func TestFillOfAStreamWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(4*minPiece, 78))
		s.ignores = true
		c := open(t, Options{Memory: 1 << 20, Concurrency: 1})
		begun := time.Now()
		if _, err := fillAll(t, c, s); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("it took %v", waited)
		}
	})
}

// What is read from disk further on isn't what is waited for.
func TestFillBesideAReaderOfTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 79))
		c := open(t, Options{Dir: t.TempDir(), Concurrency: 1, WaitForDisk: true})
		b := blobOf(t, c, s.key(), s)
		if err := b.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		fl := newFlight()
		b.table.mu.Lock()
		b.table.chunks.at(3).where = stored
		b.table.flights[3] = fl
		b.table.mu.Unlock()
		read := make(chan struct{})
		go func() {
			defer close(read)
			time.Sleep(time.Millisecond)
			b.table.mu.Lock()
			defer b.table.mu.Unlock()
			fl.land(s.content[3*ChunkSize:4*ChunkSize], nil)
			delete(b.table.flights, 3)
		}()
		f := &filling{table: b.table, fetcher: s}
		if err := f.bring(t.Context(), 0, 10); err != nil {
			t.Error(err)
		}
		if !c.memory.has(chunkKey(b.table.id, 0)) {
			t.Error("the first chunk isn't here")
		}
		<-read
	})
}

// A blob that is closed while it is filled is filled all the same.
func TestFillOfABlobThatIsClosed(t *testing.T) {
	s := newSource(random(8*minPiece, 80))
	c := open(t, Options{Dir: t.TempDir(), Concurrency: 4, WaitForDisk: true})
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Fill(t.Context(), func(int64) { b.Close() }) //nolint:errcheck // it never fails
	if total, _ := s.bytesSent(); err != nil || total != b.key.Size {
		t.Errorf("%d bytes in %d requests, %v", total, s.fetches(), err)
	}
}
