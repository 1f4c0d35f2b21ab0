package cache

import "time"

// A source may ignore ranges and send the whole blob for each request. One run
// then becomes the blob's stream: it brings every chunk as it passes, and
// nobody sends another request for a chunk that is still ahead of it.

// streaming says whether the blob's stream is running. c.mu is held.
func (c *content) streaming() bool { return c.head != nil && c.head.whole }

// becomeStream makes r the blob's stream. c.mu is held.
func (c *content) becomeStream(r *run) {
	c.ignoresRange = true
	c.head = r
	r.whole = true
	r.last = c.grid.chunks() - 1
}

// fromStart is told that r asked for bytes from off on and got a body that
// begins at byte 0. It says how many bytes r has to skip, or that r shall end
// because another run reads the blob from its start: that one then brings
// what r was to bring.
func (c *content) fromStart(r *run, off int64) (skip int64, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head != nil && c.head != r {
		c.becomeStream(c.head)
		c.yield(r)
		return 0, false
	}
	switch {
	case r.whole: // a stream that broke off goes on where it was
		return off, true
	case off > 0: // now it is known that the source ignores ranges
		r.next, r.part = 0, nil
		c.becomeStream(r)
	default: // the start of the blob, whether or not more follows
		c.head = r
	}
	return 0, true
}

// needs says whether r still has to make a request: not when the blob's stream
// brings, or has brought, all that r was to bring. So a run that waited for its
// slot while the source turned out to ignore ranges doesn't ask for all of the
// blob once more.
func (c *content) needs(r *run) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.whole {
		return true
	}
	if c.streaming() {
		c.yield(r)
	}
	for _, fl := range c.flights {
		if fl.run == r && fl.data == nil {
			return true
		}
	}
	return false
}

// yield leaves to the blob's stream what it will still bring of r's chunks.
// c.mu is held.
func (c *content) yield(r *run) {
	for i, fl := range c.flights {
		if fl.run == r && fl.data == nil && i >= c.head.next {
			fl.run = c.head
			c.head.want(i)
		}
	}
}

// goesOn says whether b, a body that began at byte 0, has more than was asked
// for: then the source ignored the range and r is the stream.
func (r *run) goesOn(b *body) bool {
	c := r.content
	var next [1]byte
	n, _ := b.Read(next[:]) // the end is the good answer here; another error shows when r reads on
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 {
		c.becomeStream(r)
		r.part = append(make([]byte, 0, c.grid.length(r.next)), next[0])
	}
	return r.whole
}

// pace keeps a stream from running away from its readers where a chunk that
// falls out of memory would have to be streamed again: while chunk i couldn't
// be put on disk and nobody waits for what comes, the stream rests, without a
// slot, for Options.Timeout at most. It ends if somebody waits for a chunk that
// it has passed: only another stream brings that.
func (r *run) pace(i int) error {
	c := r.content
	ahead := int(c.cache.memory.limit / (2 * (ChunkSize + itemCost)))
	mayRest := func() (rest, outrun bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.onDisk(i) && r.next > r.wanted+ahead && r.next <= r.last, r.outrun
	}
	rest, outrun := mayRest()
	if !rest {
		return nil
	}
	r.bound.Stop()
	r.releaseSlot()
	idle := time.NewTimer(c.cache.options.Timeout)
	defer idle.Stop()
	for ; rest; rest, outrun = mayRest() {
		if outrun {
			return errAgain
		}
		select {
		case <-r.wake:
		case <-idle.C:
			return errAgain
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	if err := r.takeSlot(); err != nil {
		return err
	}
	r.bound.Reset(runTimeouts * c.cache.options.Timeout)
	return nil
}
