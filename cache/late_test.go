package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
)

// The time of these tests is their own (synctest): it passes only while all wait, however
// slow the machine is.

// tiny is a timeout for reads that never end.
const tiny = 100 * time.Millisecond

// mustBeLate fails the test unless err says that something takes too long, and it
// took so long.
func mustBeLate(t *testing.T, err error, began time.Time, want time.Duration) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took != want {
		t.Errorf("it took %v, and should %v", took, want)
	}
}

// silent is a source that never answers.
func silent(content []byte) *source {
	s := newSource(content)
	s.hold = func(ctx context.Context, _ int, _ int64) error {
		<-ctx.Done()
		return ctx.Err()
	}
	return s
}

// A read of a source that never answers ends after twice the timeout. Who asks
// again at once, as a kernel does page by page, is told so without another wait,
// and without another fetch; later it is waited for again.
func TestReadThatTakesTooLong(t *testing.T) {
	for name, size := range map[string]int{"small": 1000, "large": largeSize} {
		for kind, drips := range map[string]bool{"silent": false, "drips": true} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := silent(random(size, 60))
					if drips {
						s.hold = nil
						s.fault = func(int, int64, int64) (fault, error) { return fault{drip: true, delay: tiny}, nil }
					}
					c := open(t, Options{Dir: t.TempDir(), Timeout: tiny})
					r, _ := reader(t, c, s.key(), s)
					first := func() (int, error) { return r.ReadAt(t.Context(), make([]byte, 4096), 0) }
					began := time.Now()
					_, err := first()
					mustBeLate(t, err, began, 2*tiny)
					began = time.Now()
					for range 5000 {
						_, err := first()
						mustBeLate(t, err, began, 0)
					}
					if n := s.fetches(); n != 1 {
						t.Errorf("%d fetches", n)
					}
					time.Sleep(lateness)
					began = time.Now()
					_, err = first()
					mustBeLate(t, err, began, 2*tiny)
				})
			})
		}
	}
}

// However many read it, each is told after twice the timeout.
func TestManyReadersThatWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := silent(random(largeSize, 61))
		c := open(t, Options{Dir: t.TempDir(), Timeout: tiny})
		var all sync.WaitGroup
		began := time.Now()
		for i := range 32 {
			r, _ := reader(t, c, s.key(), s)
			all.Go(func() {
				_, err := r.ReadAt(t.Context(), make([]byte, 4096), int64(i%4)*ChunkSize)
				mustBeLate(t, err, began, 2*tiny)
			})
		}
		all.Wait()
	})
}

// What another reads is none the wiser.
func TestSilentSourceHoldsUpNobodyElse(t *testing.T) {
	bad, good := silent(random(largeSize, 62)), newSource(random(largeSize, 63))
	c := open(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 32 {
		r, _ := reader(t, c, bad.key(), bad)
		all.Go(func() {
			if _, err := r.ReadAt(ctx, make([]byte, 4096), int64(i)*ChunkSize); !errors.Is(err, context.Canceled) {
				t.Errorf("the interrupted: %v", err)
			}
		})
	}
	for bad.fetches() < 32 {
		time.Sleep(time.Millisecond)
	}
	mustRead(t, c, good.key(), good, good.content)
	cancel()
	all.Wait()
}

func TestDocumentAndKeepThatTakeTooLong(t *testing.T) {
	const document, keep = "document", "keep"
	for _, name := range []string{document, keep} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, Options{Timeout: tiny})
				var calls atomic.Int32
				never := func(ctx context.Context) ([]byte, error) {
					calls.Add(1)
					<-ctx.Done()
					return nil, ctx.Err()
				}
				ask := func() error {
					if name == document {
						_, err := c.Document(t.Context(), "registry.example", digest.FromString("x"), never)
						return err
					}
					_, err := c.Keep(t.Context(), "key", 1, never)
					return err
				}
				began := time.Now()
				var all sync.WaitGroup
				for range 32 {
					all.Go(func() { mustBeLate(t, ask(), began, 2*tiny) })
				}
				all.Wait()
				began = time.Now()
				for range 1000 {
					mustBeLate(t, ask(), began, 0)
				}
				time.Sleep(lateness)
				began = time.Now()
				mustBeLate(t, ask(), began, 2*tiny)
				if n := calls.Load(); n != 1 {
					t.Errorf("it was called %d times while it runs", n)
				}
			})
		})
	}
}

// A reader that must wait until all is verified does so as long as it arrives.
func TestVerifyingMayTakeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 64))
		s.latency = tiny / 20
		c := open(t, Options{Timeout: tiny, Verify: VerifyFull, Concurrency: 1, Memory: 1 << 20})
		// What a reader may have to wait for beside its own chunk, splitAfter, comes in time.
		s.fault = func(int, int64, int64) (fault, error) { return fault{delay: tiny / 20, piece: ChunkSize}, nil }
		began := time.Now()
		mustRead(t, c, s.key(), s, s.content)
		if took := time.Since(began); took < 4*tiny {
			t.Errorf("it took %v, no longer than a reader waits", took)
		}
		never := silent(s.content)
		k := never.key()
		k.Origin = "silent.example"
		began = time.Now()
		_, err := readPart(t, c, k, never, 0, 10)
		mustBeLate(t, err, began, 2*tiny)
	})
}
