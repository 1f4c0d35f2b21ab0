package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// tiny is a timeout for reads that never end.
const tiny = 100 * time.Millisecond

// mustBeLate fails the test unless err says that something takes too long, and it
// took at least so long and not much longer.
func mustBeLate(t *testing.T, err error, began time.Time, least time.Duration) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < least || took > least+30*time.Second {
		t.Errorf("it took %v, and should %v", took, least)
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
		for kind, s := range map[string]*source{
			"silent": silent(random(size, 60)),
			"drips":  newSource(random(size, 60)),
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				if kind == "drips" {
					s.fault = func(int, int64, int64) (fault, error) { return fault{drip: true, delay: tiny}, nil }
				}
				c := open(t, Options{Dir: t.TempDir(), Timeout: tiny})
				r, _ := reader(t, c, s.key(), s)
				began := time.Now()
				_, err := r.ReadAt(t.Context(), make([]byte, 4096), 0)
				mustBeLate(t, err, began, 2*tiny)
				ended := time.Now()
				const again = 5000
				for i := range again {
					if _, err := r.ReadAt(t.Context(), make([]byte, 4096), 0); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("asked again: %v", err)
					}
					if time.Since(ended) > lateness/2 {
						if i < 20 { // each would take 2*tiny
							t.Errorf("asked again %d times in %v", i, time.Since(ended))
						}
						break
					}
				}
				if n := s.fetches(); n != 1 {
					t.Errorf("%d fetches", n)
				}
				time.Sleep(time.Until(ended.Add(lateness + 300*time.Millisecond)))
				began = time.Now()
				_, err = r.ReadAt(t.Context(), make([]byte, 4096), 0)
				mustBeLate(t, err, began, 2*tiny)
			})
		}
	}
}

// However many read it, each is told after twice the timeout.
func TestManyReadersThatWaitTooLong(t *testing.T) {
	s := silent(random(largeSize, 61))
	c := open(t, Options{Dir: t.TempDir(), Timeout: tiny})
	var all sync.WaitGroup
	began := time.Now()
	for i := range 32 {
		r, _ := reader(t, c, s.key(), s)
		all.Go(func() {
			_, err := r.ReadAt(t.Context(), make([]byte, 4096), int64(i%4)*ChunkSize)
			mustBeLate(t, err, began, 0)
		})
	}
	all.Wait()
	if took := time.Since(began); took < 2*tiny || took > 10*time.Second {
		t.Errorf("they took %v", took)
	}
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
	c := open(t, Options{Timeout: tiny})
	d := digest.FromString("x")
	var calls atomic.Int32
	never := func(ctx context.Context) ([]byte, error) {
		calls.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, ask := range map[string]func() error{
		"document": func() error { _, err := c.Document(t.Context(), "registry.example", d, never); return err },
		"keep":     func() error { _, err := c.Keep(t.Context(), "key", 1, never); return err },
	} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			var all sync.WaitGroup
			for range 32 {
				all.Go(func() {
					began := time.Now()
					mustBeLate(t, ask(), began, 0)
				})
			}
			all.Wait()
			ended := time.Now()
			asked := 0
			for ; asked < 1000 && time.Since(ended) < lateness/2; asked++ {
				if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("asked again: %v", err)
				}
			}
			if asked < 20 {
				t.Errorf("asked again only %d times in %v", asked, lateness/2)
			}
			time.Sleep(time.Until(ended.Add(lateness + 300*time.Millisecond)))
			began := time.Now()
			mustBeLate(t, ask(), began, 2*tiny)
			if n := calls.Load(); n != 1 {
				t.Errorf("it was called %d times while it runs", n)
			}
		})
	}
}

// A reader that must wait until all is verified does so as long as it arrives.
func TestVerifyingMayTakeLonger(t *testing.T) {
	s := newSource(random(largeSize, 64))
	s.latency = tiny / 2
	c := open(t, Options{Timeout: tiny, Verify: VerifyFull, Concurrency: 1, Memory: 1 << 20})
	s.fault = func(int, int64, int64) (fault, error) { return fault{delay: tiny / 20, piece: ChunkSize}, nil }
	mustRead(t, c, s.key(), s, s.content)
	never := silent(s.content)
	k := never.key()
	k.Origin = "silent.example"
	began := time.Now()
	_, err := readPart(t, c, k, never, 0, 10)
	mustBeLate(t, err, began, 2*tiny)
}
