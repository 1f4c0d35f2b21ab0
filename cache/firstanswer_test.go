package cache

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// An unsureSource is a source of which it isn't known whether it has ranges.
type unsureSource struct{ *source }

func (unsureSource) Unsure() bool { return true }

func fillUnsure(t *testing.T, c *Cache, s *source) error {
	t.Helper()
	b, err := c.Blob(s.key(), unsureSource{s})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	return b.Fill(t.Context(), func(int64) {})
}

// A source that sends the whole blob for any part is asked once for all of it, wherever
// one begins, and once more when it has ended and some of that is gone.
func TestUnsureSourceIsAskedOnce(t *testing.T) {
	s := newSource(random(8*minPiece, 81))
	s.ignores = true
	c := open(t, Options{Dir: t.TempDir(), Concurrency: 4, WaitForDisk: true})
	s.hold = func(context.Context, int, int64) error {
		for running(c) < 4 { // the others wait
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	if err := fillUnsure(t, c, s); err != nil || s.fetches() != 1 {
		t.Errorf("all of it: %d requests, %v", s.fetches(), err)
	}
	s = newSource(random(8*minPiece, 82))
	s.ignores = true
	r, done := reader(t, c, s.key(), unsureSource{s})
	if _, err := r.ReadAt(t.Context(), make([]byte, 4*ChunkSize), 5*minPiece); err != nil {
		t.Fatal(err)
	}
	done()
	if err := fillUnsure(t, c, s); err != nil {
		t.Error(err)
	}
	if _, chunk := s.bytesSent(); s.fetches() > 2 || chunk > 2*ChunkSize {
		t.Errorf("after a part: %d requests, and %d bytes of one chunk", s.fetches(), chunk)
	}
}

// While nobody knows there is one request; after an answer with a part there are all, and
// after none another one.
func TestOthersWaitForTheFirstAnswer(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSource(random(8*minPiece, 83))
			s.latency = time.Second
			s.fault = func(call int, _, _ int64) (fault, error) {
				return fault{delay: 10 * time.Second * time.Duration(b2i(call == 0)), piece: ChunkSize}, nil
			}
			answer, failure := make(chan struct{}), errors.New("failure")
			var begun time.Time
			s.hold = func(_ context.Context, call int, _ int64) error {
				switch {
				case call == 0:
					<-answer
					begun = time.Now()
					if fails {
						return failure
					}
				case call < 4 && !fails && time.Since(begun) != s.latency:
					t.Errorf("request %d came %v after the first answer", call, time.Since(begun)-s.latency)
				}
				return nil
			}
			c := open(t, Options{Dir: t.TempDir(), Concurrency: 4, WaitForDisk: true})
			filled := make(chan error)
			go func() { filled <- fillUnsure(t, c, s) }()
			other, done := reader(t, c, s.key(), unsureSource{s})
			defer done()
			read := make(chan error)
			go func() {
				_, err := other.ReadAt(t.Context(), make([]byte, 10), 8*minPiece-10)
				read <- err
			}()
			synctest.Wait()
			if n := s.fetches(); n != 1 {
				t.Errorf("%d requests before the first answer", n)
			}
			close(answer)
			for _, outcome := range []chan error{filled, read} {
				if err := <-outcome; err != nil && !(fails && errors.Is(err, failure)) {
					t.Error(err)
				}
			}
			if fails {
				if err := fillUnsure(t, c, s); err != nil {
					t.Error(err)
				}
			}
			if _, chunk := s.bytesSent(); s.fetches() < 4 || chunk > ChunkSize {
				t.Errorf("%d requests, %d bytes of one chunk", s.fetches(), chunk)
			}
		})
	}
}

// A cache that sent all of a blob while it fetched it has it then: a part is a part again.
func TestRangesAreTriedAgain(t *testing.T) {
	s := newSource(random(8*minPiece, 84))
	s.ignores = true
	c := open(t, Options{Memory: 1 << 20})
	if _, err := readPart(t, c, s.key(), unsureSource{s}, 2*minPiece, 10); err != nil {
		t.Fatal(err)
	}
	settled(c)
	s.ignores = false
	before, _ := s.bytesSent()
	if _, err := readPart(t, c, s.key(), unsureSource{s}, 7*minPiece, 10); err != nil {
		t.Fatal(err)
	}
	settled(c)
	if after, _ := s.bytesSent(); after-before > 2*ChunkSize {
		t.Errorf("%d bytes were sent for a part", after-before)
	}
}

// A busySource is an unsure one that answers only where a reader waits.
type busySource struct{ unsureSource }

func (s busySource) Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (io.ReadCloser, bool, error) {
	if wanted != nil {
		select {
		case <-wanted:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	return s.unsureSource.Fetch(ctx, off, n, wanted)
}

// What a reader waits for is urgent, and so is the first answer, whether the reader comes
// to a part that is asked for or to one that waits for that answer.
func TestFirstAnswerIsAsUrgentAsItsReaders(t *testing.T) {
	for _, off := range []int64{8*minPiece - 10, 2 * minPiece} {
		synctest.Test(t, func(t *testing.T) {
			s := busySource{unsureSource{newSource(random(8*minPiece, 85))}}
			c := open(t, Options{Concurrency: 2})
			b := blobOf(t, c, s.key(), s)
			ctx, interrupt := context.WithCancel(t.Context())
			filled := make(chan error)
			go func() { filled <- b.Fill(ctx, func(int64) {}) }()
			synctest.Wait()
			if _, err := readPart(t, c, s.key(), s, off, 10); err != nil {
				t.Errorf("at %d: %v", off, err)
			}
			interrupt()
			if err := <-filled; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}
