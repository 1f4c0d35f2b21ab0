package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errAgain is the error of a flight whose run ended, or was handed to another,
// before the chunk came. Whoever waits looks again; nobody outside sees it.
var errAgain = errors.New("the fetch ended before this chunk")

// A flight is one chunk, or one document, on its way. Whoever wants it waits
// for it, whoever began it.
type flight struct {
	done chan struct{}
	data []byte // set before done is closed
	err  error  // likewise
	run  *run   // who brings it; nil for documents. Guarded by content.mu
}

func newFlight(r *run) *flight { return &flight{done: make(chan struct{}), run: r} }

// land gives the flight's outcome to those who wait. It may be called once
// more after data landed, and then does nothing; its callers hold the lock
// that guards the flight.
func (f *flight) land(data []byte, err error) {
	if f.data != nil || f.err != nil {
		return
	}
	f.data, f.err = data, err
	close(f.done)
}

// wait returns ctx's own error as it is when ctx ends first.
func (f *flight) wait(ctx context.Context) ([]byte, error) {
	select {
	case <-f.done:
		return f.data, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A plan says where each chunk of a read comes from.
type plan struct {
	stored []int           // on disk
	flying map[int]*flight // on its way
	behind <-chan struct{} // closed when the stream that has passed the rest ends
	runs   []*run          // to be started
}

// chunks returns the chunks first to last, from memory, from disk or from f,
// whatever comes first. It doesn't hand them out: see handOut.
func (c *content) chunks(ctx context.Context, f Fetcher, first, last int) ([][]byte, error) {
	out := make([][]byte, last-first+1)
	for {
		p, err := c.plan(f, first, out)
		if err != nil {
			return nil, err
		}
		for _, r := range p.runs {
			r.start()
		}
		for _, i := range p.stored {
			out[i-first] = c.load(i) // nil if it is damaged: planned again
		}
		for i, fl := range p.flying {
			data, err := fl.wait(ctx)
			if err != nil && !errors.Is(err, errAgain) {
				return nil, err
			}
			out[i-first] = data
		}
		if p.behind != nil {
			select {
			case <-p.behind:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if !slices.ContainsFunc(out, func(data []byte) bool { return data == nil }) {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// plan finds out where the chunks are that out lacks, out[0] being chunk
// first, and claims those that nobody has or brings. What is in memory is put
// into out.
func (c *content) plan(f Fetcher, first int, out [][]byte) (plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return plan{}, c.failed
	}
	if c.cache.ctx.Err() != nil {
		return plan{}, errClosed
	}
	c.attach()
	p := plan{flying: make(map[int]*flight)}
	for k := range out {
		i := first + k
		if out[k] != nil {
			continue
		}
		if data, ok := c.cache.memory.get(chunkKey(c.id, i)); ok {
			c.cache.counts.memoryHits.Add(1)
			out[k] = data
			continue
		}
		fl := c.flights[i]
		switch {
		case fl != nil:
		case c.onDisk(i):
			p.stored = append(p.stored, i)
			continue
		case c.streaming() && i < c.head.next:
			c.head.want(i)
			p.behind = c.head.done
			continue
		case c.streaming():
			fl = c.claim(i, c.head)
		case c.ignoresRange:
			r := c.newRun(f, 0)
			c.becomeStream(r)
			p.runs = append(p.runs, r)
			fl = c.claim(i, r)
		default:
			if n := len(p.runs); n == 0 || !p.runs[n-1].extend(i) {
				p.runs = append(p.runs, c.newRun(f, i))
			}
			fl = c.claim(i, p.runs[len(p.runs)-1])
		}
		if fl.data == nil {
			fl.run.want(i)
		}
		p.flying[i] = fl
	}
	return p, nil
}

// claim makes r the one that brings chunk i. c.mu is held.
func (c *content) claim(i int, r *run) *flight {
	fl := newFlight(r)
	c.flights[i] = fl
	return fl
}

// prefetch asks for those of the chunks first to last that nobody has or
// brings, as far as there are free slots, and waits for none of them. It
// returns the first chunk it didn't get to.
func (c *content) prefetch(f Fetcher, first, last int) int {
	c.mu.Lock()
	if c.failed != nil || c.ignoresRange {
		c.mu.Unlock()
		return last + 1
	}
	c.attach()
	var runs []*run
	i := first
	for ; i <= last; i++ {
		if c.flights[i] != nil || c.onDisk(i) {
			continue
		}
		if _, ok := c.cache.memory.get(chunkKey(c.id, i)); ok {
			continue
		}
		if n := len(runs); n == 0 || !runs[n-1].extend(i) {
			if !c.cache.startAhead() {
				break
			}
			r := c.newRun(f, i)
			r.ahead, r.slot = true, true
			runs = append(runs, r)
		}
		c.claim(i, runs[len(runs)-1])
		c.cache.counts.aheadBytes.Add(int64(c.grid.length(i)))
	}
	c.mu.Unlock()
	for _, r := range runs {
		r.start()
	}
	return i
}

// arrived takes chunk i as the source sent it: it is compared with what is
// known of it, given to those who wait, and kept.
func (c *content) arrived(r *run, i int, data []byte) error {
	if c.grid.small() && c.key.Digest.Algorithm().FromBytes(data) != c.key.Digest {
		return c.fail("fetched")
	}
	sum := c.sum(data)
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	if !c.recognise(i, sum, false) {
		c.mu.Unlock()
		return c.fail(fmt.Sprintf("chunk %d came twice and differs", i))
	}
	if c.grid.small() {
		c.verified = true
	}
	c.cache.memory.set(chunkKey(c.id, i), data)
	fl := c.flights[i]
	if fl == nil {
		fl = c.claim(i, r)
	}
	fl.land(data, nil)
	r.next = i + 1
	c.mu.Unlock()

	// The flight stays in its place until the chunk is on disk, so that
	// nobody fetches it in between where memory is too small to hold it.
	c.save(i, data)
	c.mu.Lock()
	if c.flights[i] == fl {
		delete(c.flights, i)
	}
	c.mu.Unlock()
	c.kickHashing()
	return nil
}
