package cache

import "sync"

// An Unsure fetcher's source may turn out to send the whole blob for any part of it, and
// makes much of each request then: a cache between here and a registry, that hasn't the
// blob itself yet, fetches it anew for each. So one run asks, and the others wait for its
// answer: where that is the whole blob they leave what they were to bring to it.
type Unsure interface {
	Fetcher
	// Unsure tells whether it is so now. It asks nobody.
	Unsure() bool
}

func unsure(f Fetcher) bool {
	u, ok := f.(Unsure)
	return ok && u.Unsure()
}

// A firstAnswer is the one that others wait for.
type firstAnswer struct {
	run  *run          // which asks
	came chan struct{} // closed once it has it, or won't have it
}

// mayAsk waits for the answer to the first request of an unsure source, which is as
// urgent as what waits for it. answered has to be called once r has its own, and may be
// called again. The error is errAgain where r shall end, because a stream brings what r
// was to bring.
func (r *run) mayAsk() (answered func(), err error) {
	t := r.table
	if !unsure(r.fetcher) {
		return func() {}, nil
	}
	wanted := r.wanted
	for {
		t.mu.Lock()
		first := t.first
		if first != nil && r.demand >= 0 {
			first.run.want(first.run.next)
			wanted = nil
		}
		switch {
		case t.rangeless && !r.stream:
			leaves := r.leaves()
			t.mu.Unlock()
			if leaves {
				return nil, errAgain
			}
			return func() {}, nil
		case t.ranged, r.stream:
			t.mu.Unlock()
			return func() {}, nil
		case first == nil:
			first = &firstAnswer{run: r, came: make(chan struct{})}
			t.first = first
			t.mu.Unlock()
			return sync.OnceFunc(func() { t.firstAnswered(first) }), nil
		}
		t.mu.Unlock()
		select {
		case <-first.came:
		case <-wanted:
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		}
	}
}

// firstAnswered has those go on who wait for the first answer. Where it was none, one of
// them asks.
func (t *table) firstAnswered(first *firstAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first = nil
	close(first.came)
}
