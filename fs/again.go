package fs

import (
	"context"
	"sync"
)

// maxAgain bounds the questions that wait for one host. What finds no place is
// put by the next who wants to know.
const maxAgain = 1024

// again are questions whose last answer is in use, and which are put once more in
// the background: to each host one at a time.
type again struct {
	tree *tree

	mu    sync.Mutex // guards hosts and what they hold
	hosts map[string]*refresh
}

// A refresh is what one host is still to be asked. The first question is put now.
type refresh struct {
	queue  []question
	queued map[string]bool // by their keys
}

// A question remembers its answer itself.
type question struct {
	key string
	put func(context.Context)
}

// put asks a host once more, unless that question waits already.
func (a *again) put(host, key string, put func(context.Context)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.hosts[host]
	begun := r != nil
	if !begun {
		r = &refresh{queued: map[string]bool{}}
		a.hosts[host] = r
	}
	if len(r.queue) < maxAgain && !r.queued[key] {
		r.queue, r.queued[key] = append(r.queue, question{key, put}), true
	}
	if !begun && !a.tree.run(func() error { return a.putAll(host, r) }, func(err error) { a.ended(host, r, err) }) {
		delete(a.hosts, host)
	}
}

func (a *again) putAll(host string, r *refresh) error {
	for a.next(host, r) { //nolint:revive // until none is left
	}
	return nil
}

// ended forgets the questions that are left where one of them panicked.
func (a *again) ended(host string, r *refresh, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.hosts[host] == r {
		delete(a.hosts, host)
	}
}

// next puts the first question. It is false where that was the last, or the host
// can't be reached: the others would only wait for that, too.
func (a *again) next(host string, r *refresh) bool {
	a.mu.Lock()
	q := r.queue[0]
	a.mu.Unlock()
	q.put(a.tree.ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	r.queue = r.queue[1:]
	delete(r.queued, q.key)
	if len(r.queue) > 0 && !a.tree.outages.last(host) && a.tree.ctx.Err() == nil {
		return true
	}
	delete(a.hosts, host)
	return false
}
