package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A flight is something on its way that many may wait for: a chunk, a small
// blob, what is made to be kept. Whoever wants it waits for it, whoever began it.
type flight struct {
	done chan struct{} // closed when it has landed
	data []byte        // set before done is closed
	err  error         // likewise

	// Guarded by the lock of what holds the flight.
	run  *run      // the request that brings a chunk; nil for anything else
	late time.Time // until then, whoever comes is told at once that it takes too long
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

// land gives the outcome to those who wait; only the first one counts. Its
// callers hold the lock of what holds the flight.
func (f *flight) land(data []byte, err error) {
	if !f.landed() {
		f.data, f.err = data, err
		close(f.done)
	}
}

func (f *flight) landed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// lateness is how long those who ask again for what has just taken too long are
// told so without another wait: a kernel asks a second time, page by page, for
// what it couldn't read.
const lateness = time.Second

// errLate is a context.DeadlineExceeded to errors.Is.
var errLate = fmt.Errorf("it takes too long: %w", context.DeadlineExceeded)

// patience is how long one reader waits, all in all.
type patience struct {
	ctx   context.Context
	limit time.Duration
	timer *time.Timer // nil until the reader has to wait
}

// wait waits for the flight to land. The context's own error comes back as it is
// when it ends first, and errLate when the patience is over.
func (p *patience) wait(f *flight) ([]byte, error) {
	if f.landed() {
		return f.data, f.err
	}
	if err := p.until(f.done); err != nil {
		return nil, err
	}
	return f.data, f.err
}

// until waits for a channel to be closed.
func (p *patience) until(done <-chan struct{}) error {
	if p.timer == nil {
		p.timer = time.NewTimer(p.limit)
	}
	select {
	case <-done:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-p.timer.C:
		p.timer.Reset(0) // it is over for whatever comes next, too
		return errLate
	}
}

func (p *patience) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// patience is that of a reader whose request begins now: twice Options.Timeout.
func (c *Cache) patience(ctx context.Context) *patience {
	return &patience{ctx: ctx, limit: 2 * c.options.Timeout}
}

// flights are those under way, by their keys. There is one of a key at a time.
type flights struct {
	mu    sync.Mutex // guards byKey and its flights
	byKey map[string]*flight
}

// do is the outcome of work, which runs once for all who ask for the key while
// it does. It goes on when a reader leaves. A failure is told to those who wait
// and isn't remembered, except that it took too long: see lateness.
func (c *Cache) do(fs *flights, p *patience, key string, work func() ([]byte, error)) ([]byte, error) {
	fs.mu.Lock()
	f := fs.byKey[key]
	switch {
	case f != nil && time.Now().Before(f.late):
		fs.mu.Unlock()
		return nil, errLate
	case f == nil || f.landed():
		f = newFlight()
		if fs.byKey == nil {
			fs.byKey = make(map[string]*flight)
		}
		fs.byKey[key] = f
		if !c.work.run(func() { fs.fly(key, f, work) }) {
			delete(fs.byKey, key)
			f.land(nil, errClosed)
		}
	}
	fs.mu.Unlock()
	data, err := p.wait(f)
	if errors.Is(err, errLate) {
		fs.mu.Lock()
		f.late = time.Now().Add(lateness)
		fs.mu.Unlock()
	}
	return data, err
}

// fly does the work of f.
func (fs *flights) fly(key string, f *flight, work func() ([]byte, error)) {
	var data []byte
	err := errPanicked
	defer func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		f.land(data, err)
		if fs.byKey[key] == f {
			delete(fs.byKey, key)
		}
	}()
	data, err = work()
}
