package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// maxRun is the most that one range request asks for, in bytes: big enough
// that the latency of a registry hardly counts, small enough that several
// run in parallel where somebody reads ahead.
const maxRun = 4 << 20

const (
	// maxRetries is how often in a row a body may break off without a new
	// chunk having arrived.
	maxRetries = 3
	// retryWait is the mean wait before the first retry; it doubles.
	retryWait = 100 * time.Millisecond
	// fetchTimeouts and runTimeouts bound one call of Fetch, and one run with
	// its retries, as multiples of Options.Timeout. A run that streams a
	// whole blob gets the latter for each chunk.
	fetchTimeouts = 4
	runTimeouts   = 10
)

// A run is one range request, with its retries, for the chunks next to last.
// A source that ignores ranges makes it the blob's stream: it then brings all
// of the blob.
type run struct {
	content *content
	fetcher Fetcher
	ahead   bool // it is read-ahead, and has its slot already

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has ended
	wake   chan struct{} // holds one token when somebody wants something

	// Guarded by content.mu.
	next   int  // the chunk that arrives next
	last   int  // the last one to bring
	wanted int  // the last one somebody waits for
	whole  bool // it is the blob's stream
	outrun bool // somebody waits for a chunk that the stream has passed

	// The fetching goroutine's own.
	part  []byte      // of chunk next, what has arrived
	bound *time.Timer // ends the run when it takes too long
	slot  bool        // it has one of cache.slots
}

// newRun is a run for chunk i alone, to be extended and started.
func (c *content) newRun(f Fetcher, i int) *run {
	r := &run{
		content: c,
		fetcher: f,
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		next:    i,
		last:    i,
		wanted:  i,
	}
	r.ctx, r.cancel = context.WithCancelCause(c.cache.ctx)
	c.users++
	return r
}

// extend adds chunk i if it follows and a request may be that long.
func (r *run) extend(i int) bool {
	if i != r.last+1 || int64(i+1-r.next)*ChunkSize > maxRun {
		return false
	}
	r.last = i
	return true
}

// want notes that somebody waits for chunk i. content.mu is held.
func (r *run) want(i int) {
	if i < r.next && r.whole {
		r.outrun = true
	}
	r.wanted = max(r.wanted, i)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *run) start() {
	if !r.content.cache.work.run(r.fetch) {
		r.finish(errClosed)
	}
}

func (r *run) fetch() {
	err := r.takeSlot()
	if err == nil {
		limit := runTimeouts * r.content.cache.options.Timeout
		r.bound = time.AfterFunc(limit, func() { r.cancel(tooSlow("not done", limit)) })
		err = r.attempts()
		r.bound.Stop()
	}
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	r.finish(err)
}

// takeSlot waits for one of the slots that bound the fetches at once.
func (r *run) takeSlot() error {
	if r.slot || unpacks(r.fetcher) {
		return nil
	}
	err := r.content.cache.slots.Acquire(r.ctx, 1)
	r.slot = err == nil
	return err
}

func (r *run) releaseSlot() {
	if r.slot {
		r.content.cache.slots.Release(1)
		r.slot = false
	}
}

// tooSlow is an error that satisfies errors.Is(err, context.DeadlineExceeded).
func tooSlow(what string, after time.Duration) error {
	return fmt.Errorf("%s after %v: %w", what, after, context.DeadlineExceeded)
}

// finish ends the run: whoever still waits for one of its chunks gets err.
func (r *run) finish(err error) {
	c := r.content
	switch {
	case err == nil:
		err = errAgain
	case !errors.Is(err, errAgain) && !errors.Is(err, ErrDigest):
		err = fmt.Errorf("fetch blob %s from %s: %w", c.key.Digest, c.key.Origin, err)
		if r.ahead {
			c.cache.log.Debug("reading ahead failed", "digest", c.key.Digest, "error", err)
		}
	}
	c.mu.Lock()
	if c.head == r {
		c.head = nil
	}
	for i, fl := range c.flights {
		if fl.run == r && fl.data == nil {
			fl.land(nil, err)
			delete(c.flights, i)
		}
	}
	c.mu.Unlock()
	r.releaseSlot()
	if r.ahead {
		c.cache.aheadSlots.Release(1)
	}
	r.cancel(nil)
	close(r.done)
	c.leave()
}

func (r *run) attempts() error {
	failures := 0
	for {
		from := r.position()
		err := r.attempt()
		if broken := new(brokenOff); !errors.As(err, &broken) || r.ctx.Err() != nil {
			return err
		}
		if r.position() > from {
			failures = 0
		}
		if failures == maxRetries {
			return fmt.Errorf("gave up after %d retries: %w", maxRetries, err)
		}
		wait := time.Duration(rand.Int64N(int64(2 * retryWait << failures))) //nolint:gosec // a jitter is no secret
		failures++
		r.content.cache.counts.retries.Add(1)
		r.content.cache.log.Debug("a body broke off", "digest", r.content.key.Digest, "chunk", r.position(), "wait", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
}

func (r *run) position() int {
	r.content.mu.Lock()
	defer r.content.mu.Unlock()
	return r.next
}

// rest is the range of bytes that hasn't arrived.
func (r *run) rest() (off, n int64) {
	r.content.mu.Lock()
	defer r.content.mu.Unlock()
	off = r.content.grid.offset(r.next) + int64(len(r.part))
	return off, r.content.grid.offset(r.last+1) - off
}

// attempt makes one request for what is missing and takes what comes. Only a
// body that broke off is worth another attempt: the source has its own retries
// for requests.
func (r *run) attempt() error {
	c := r.content
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	if !c.needs(r) {
		return errAgain
	}
	off, n := r.rest()
	limit := fetchTimeouts * c.cache.options.Timeout
	timer := time.AfterFunc(limit, func() { cancel(tooSlow("no answer", limit)) })
	defer timer.Stop()
	c.cache.counts.fetches.Add(1)
	stream, at, err := r.fetcher.Fetch(ctx, off, n, nil)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	timer.Stop()
	b := newBody(ctx, cancel, stream, c.cache.options.Timeout, &c.cache.counts)
	defer b.close()
	if at != 0 && at != off {
		return fmt.Errorf("asked for bytes from %d on, got bytes from %d on", off, at)
	}
	if at == 0 {
		skip, mine := c.fromStart(r, off)
		if !mine {
			return errAgain
		}
		if _, err := io.CopyN(io.Discard, b, skip); err != nil {
			return err
		}
	}
	if err := r.take(b); err != nil {
		return err
	}
	if at == 0 && off+n < c.grid.size && r.goesOn(b) {
		return r.take(b)
	}
	return nil
}

// take reads chunks from b until the last one.
func (r *run) take(b *body) error {
	c := r.content
	for {
		c.mu.Lock()
		i, end, whole := r.next, r.next > r.last, r.whole
		c.mu.Unlock()
		if end {
			return nil
		}
		if r.part == nil {
			r.part = make([]byte, 0, c.grid.length(i))
		}
		for len(r.part) < cap(r.part) {
			n, err := b.Read(r.part[len(r.part):cap(r.part)])
			r.part = r.part[:len(r.part)+n]
			if err != nil && len(r.part) < cap(r.part) {
				return err
			}
		}
		data := r.part
		r.part = nil
		if err := c.arrived(r, i, data); err != nil {
			return err
		}
		if whole {
			r.bound.Reset(runTimeouts * c.cache.options.Timeout)
			if err := r.pace(i); err != nil {
				return err
			}
		}
	}
}
