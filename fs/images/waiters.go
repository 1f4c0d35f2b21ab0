package images

import (
	"context"
	"sync"
	"time"
)

// Linger is how long an opening goes on that nobody waits for: a program that
// looks at one path after the other isn't always waiting.
const Linger = 3 * time.Second

// waiters are those who wait for one piece of work. When the last one has left
// and nobody has come for a while, it is cancelled.
type waiters struct {
	cancel context.CancelFunc
	linger time.Duration

	mu    sync.Mutex // guards what follows
	count int
	over  bool // nobody can join any more
	left  bool // because nobody waited
	timer *time.Timer
}

// join adds one who waits. false is that the work was cancelled.
func (w *waiters) join() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false
	}
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.count++
	return true
}

// leave takes one away who joined.
func (w *waiters) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count--; w.count == 0 && !w.over {
		w.timer = time.AfterFunc(w.linger, w.giveUp)
	}
}

// giveUp cancels the work unless somebody has come.
func (w *waiters) giveUp() {
	w.mu.Lock()
	if w.count == 0 && !w.over {
		w.over, w.left = true, true
	}
	left := w.left
	w.mu.Unlock()
	if left {
		w.cancel()
	}
}

// gaveUp tells whether the work was cancelled because nobody waited.
func (w *waiters) gaveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

// end is told that the work is done: nobody needs to cancel it.
func (w *waiters) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over = true; w.timer != nil {
		w.timer.Stop()
	}
	w.cancel()
}
