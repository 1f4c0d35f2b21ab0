package cache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Where there are no ranges and no room, who goes back has a stream of its own: it
// doesn't wait until the first has ended.
func TestGoingBackIsAnotherStream(t *testing.T) {
	s := newSource(random(largeSize, 96))
	s.ignores = true
	s.fault = func(call int, _, _ int64) (fault, error) {
		return fault{cut: 6 << 20 * int64(b2i(call == 0)), stall: true}, nil
	}
	c := open(t, Options{Memory: 1 << 20})
	r, _ := reader(t, c, s.key(), s)
	for off := int64(0); off < 5<<20; off += ChunkSize {
		if _, err := r.ReadAt(t.Context(), make([]byte, 100), off); err != nil {
			t.Fatal(err)
		}
	}
	if _, chunk := s.bytesSent(); chunk > ChunkSize {
		t.Errorf("%d bytes of one chunk were sent to one who reads on", chunk)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() {
		_, err := r.ReadAt(ctx, make([]byte, 100), 7<<20)
		waits <- err
	}()
	for running(c) > 1 { // what was asked for ahead, until it was known that there are no ranges
		time.Sleep(time.Millisecond)
	}
	before := s.fetches()
	back, _ := reader(t, c, s.key(), s)
	p := make([]byte, ChunkSize) // more at once may fall out of memory while it is read
	for off := int64(0); off < 2<<20; off += ChunkSize {
		if _, err := back.ReadAt(t.Context(), p, off); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, p, s.content[off:][:len(p)])
	}
	if n := s.fetches() - before; n != 1 {
		t.Errorf("%d streams more", n)
	}
	interrupt()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}

// running is how many fetches are under way.
func running(c *Cache) (n int) {
	for _, t := range c.tables.all() {
		t.mu.Lock()
		n += len(t.runs)
		t.mu.Unlock()
	}
	return n
}

// So have all who go back, however many do: the streams that nobody waits for end, and
// nobody waits until one has rested for long. The time is the test's own.
func TestManyGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 97))
		s.ignores = true
		c := open(t, Options{Memory: 1 << 20})
		r, done := reader(t, c, s.key(), s)
		defer done()
		began := time.Now()
		for i := 30; i >= 0; i -= 3 {
			p := make([]byte, ChunkSize)
			if _, err := r.ReadAt(t.Context(), p, int64(i)*ChunkSize); err != nil {
				t.Fatalf("chunk %d: %v", i, err)
			}
			mustEqual(t, p, s.content[i*ChunkSize:][:ChunkSize])
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		if s.most > maxStreams {
			t.Errorf("%d streams at once", s.most)
		}
	})
}

// What nobody waits for isn't brought where there is no room for it: it would be
// streamed again, from the start.
func TestStreamWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 98))
		s.ignores = true
		c := open(t, Options{Memory: 1 << 20})
		r, done := reader(t, c, s.key(), s)
		defer done()
		for i := range int64(5) {
			if _, err := r.ReadAt(t.Context(), make([]byte, 100), i*ChunkSize); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the stream has come as far as it goes
			if total, _ := s.bytesSent(); total > (i+1)*ChunkSize+1 || s.fetches() != 1 {
				t.Errorf("%d bytes were sent for %d chunks, in %d requests", total, i+1, s.fetches())
			}
		}
	})
}
