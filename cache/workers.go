package cache

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
)

// workers are the goroutines of a cache: whatever it starts it starts here, and
// Close waits for all of them.
type workers struct {
	log *slog.Logger

	mu     sync.Mutex // guards closed, and adding to group while it isn't
	closed bool
	group  sync.WaitGroup
}

// errPanicked is what those get who wait for work that panicked. It is what a
// flight lands with unless its work gets as far as saying something else.
var errPanicked = errors.New("a defect of orasfs, see the log")

// run does work in a goroutine; false once the cache is closed. A panic in it is
// logged and ends that work alone: work lands its flights in a deferred call.
func (w *workers) run(work func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.group.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				w.log.Error("a goroutine of the cache panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		work()
	})
	return true
}

// wait ends the taking of new work and waits for what runs.
func (w *workers) wait() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.group.Wait()
}
