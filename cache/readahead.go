package cache

import "sync"

// The window of a sequential reader begins with firstWindow bytes and doubles
// each time it is asked for, up to maxWindow and to a share of the memory.
const (
	firstWindow = 1 << 20
	maxWindow   = 16 << 20
)

// skipAhead and stepBack are how far, in bytes, a read may be from where the
// sequence has come to and still belong to it: a reader may skip a little, and
// a kernel sends its reads slightly out of order.
const (
	skipAhead = 1 << 20
	stepBack  = 1 << 20
)

// readAhead notices that a blob is read in sequence and then asks for what
// comes next, in runs that go in parallel. Failures are silent: the reader
// meets them when it comes there.
type readAhead struct {
	content *content
	fetcher Fetcher

	mu     sync.Mutex // guards what follows
	closed bool
	begin  int64 // where the sequence began
	end    int64 // where it has come to
	window int64 // taken from cache.ahead
	next   int   // the first chunk that hasn't been asked for
}

func newReadAhead(c *content, f Fetcher) *readAhead {
	return &readAhead{content: c, fetcher: f}
}

// read is told of a read of n bytes at off, before it.
func (a *readAhead) read(off, n int64) {
	g := a.content.grid
	if g.small() || n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if off < a.end-stepBack || off > a.end+skipAhead {
		a.shrink()
		a.begin, a.end = off, off
	}
	a.end = max(a.end, off+n)
	// A look at the head of a file is no sequence yet.
	if a.end-a.begin <= ChunkSize || a.end >= g.size {
		return
	}
	here := g.index(a.end - 1)
	a.next = max(a.next, here+1)
	if ahead := g.offset(a.next) - a.end; a.window > 0 && ahead > a.window-min(a.window/2, maxRun) {
		return // far enough: a run should be worth its request
	}
	a.grow()
	if target := min(a.end+a.window, g.size); target > g.offset(a.next) {
		a.next = a.content.prefetch(a.fetcher, a.next, g.index(target-1))
	}
}

// grow doubles the window as far as there is memory for it. a.mu is held.
func (a *readAhead) grow() {
	limit := a.content.cache.options.Memory / 4
	want := min(max(firstWindow, 2*a.window), maxWindow, limit/2)
	if want <= a.window {
		return
	}
	more := want - a.window
	if a.content.cache.ahead.Add(more) > limit {
		a.content.cache.ahead.Add(-more)
		return
	}
	a.window = want
}

// shrink gives the window back. a.mu is held.
func (a *readAhead) shrink() {
	a.content.cache.ahead.Add(-a.window)
	a.window, a.next = 0, 0
}

func (a *readAhead) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.shrink()
}

// startAhead takes a slot for a fetch that nobody waits for, if one is free
// and another one stays free for a reader's demand.
func (c *Cache) startAhead() bool {
	if !c.aheadSlots.TryAcquire(1) {
		return false
	}
	if !c.slots.TryAcquire(1) {
		c.aheadSlots.Release(1)
		return false
	}
	return true
}
