package resolver

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// slots are how many requests for blobs one host has at once. Those that read
// ahead are Options.Concurrency at most, all together half as many more: a
// reader that waits needn't wait for the end of what nobody waits for. Of those that
// have nearly come to their end some count among all alone, half of what is kept for
// readers: the next one's latency passes while they end.
//
// A slot goes to the blob that holds the fewest, and then to who came first. While
// a reader waits there is none for who reads ahead: all are taken then, and
// all but one are still more than those may have.
type slots struct {
	ahead, all, ending int

	mu    sync.Mutex // guards everything below
	taken int
	ends  int            // of them are near their end
	held  map[string]int // slots, by owner
	queue []*waiter      // in the order they came
}

// A slot is one that a request has.
type slot struct {
	slots *slots
	owner string
	// Guarded by slots.mu.
	ends, left bool
}

// A turn is on whose behalf a blob is asked for.
type turn struct {
	owner    string          // the blob
	wanted   <-chan struct{} // closed once a reader waits; nil is that one does
	patience *patience       // doesn't run while nobody waits and there is no slot
}

func (t *turn) demanded() bool {
	select {
	case <-t.wanted:
		return true
	default:
		return t.wanted == nil
	}
}

type waiter struct {
	owner   string
	demand  bool // slots.mu guards it
	granted chan struct{}
}

func newSlots(concurrency int) *slots {
	kept := (concurrency + 1) / 2
	return &slots{ahead: concurrency, all: concurrency + kept, ending: kept / 2, held: make(map[string]int)}
}

// errStopped is that the host one waits for has gone down.
var errStopped = errors.New("stopped waiting")

// acquire waits for a slot, until ctx ends or stop is closed.
func (s *slots) acquire(ctx context.Context, stop <-chan struct{}, t *turn) (*slot, error) {
	w := &waiter{owner: t.owner, demand: t.demanded(), granted: make(chan struct{})}
	wanted := t.wanted
	if w.demand {
		wanted = nil
	} else {
		t.patience.stop()
	}
	s.mu.Lock()
	s.queue = append(s.queue, w)
	s.grant()
	s.mu.Unlock()
	for {
		select {
		case <-w.granted:
			t.patience.start()
			return &slot{slots: s, owner: t.owner}, nil
		case <-wanted:
			t.patience.start()
			wanted = nil
			s.mu.Lock()
			w.demand = true
			s.grant()
			s.mu.Unlock()
		case <-ctx.Done():
			s.leave(w)
			return nil, timedOut(ctx, ctx.Err())
		case <-stop:
			s.leave(w)
			return nil, errStopped
		}
	}
}

// leave gives up waiting, and the slot if it was granted meanwhile.
func (s *slots) leave(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, w); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		return
	}
	s.free(w.owner)
}

// release gives the slot back.
func (l *slot) release() {
	s := l.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.left = true; l.ends {
		s.ends--
	}
	s.free(l.owner)
}

// end is told that the slot's request has nearly come to its end.
func (l *slot) end() {
	s := l.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.ends || l.left {
		return
	}
	l.ends = true
	s.ends++
	s.grant()
}

// free gives a slot back. s.mu is held.
func (s *slots) free(owner string) {
	s.taken--
	if s.held[owner]--; s.held[owner] == 0 {
		delete(s.held, owner)
	}
	s.grant()
}

// grant gives out what is free. s.mu is held.
func (s *slots) grant() {
	for i := s.first(); i >= 0; i = s.first() {
		w := s.queue[i]
		s.queue = slices.Delete(s.queue, i, i+1)
		s.taken++
		s.held[w.owner]++
		close(w.granted)
	}
}

// first is the place in the queue of who is next, -1 if nobody may. s.mu is held.
func (s *slots) first() int {
	best := -1
	for i, w := range s.queue {
		switch {
		case s.taken >= s.all, !w.demand && s.taken-min(s.ends, s.ending) >= s.ahead:
		case best < 0 || s.held[w.owner] < s.held[s.queue[best].owner]:
			best = i
		}
	}
	return best
}
