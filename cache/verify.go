package cache

import (
	"context"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"
)

// hashing is how far the digest of a content has been computed. One goroutine
// at a time advances it, chunk by chunk from the first, as long as the next
// one is there; a pass makes it fetch what isn't.
type hashing struct {
	hash    hash.Hash // the goroutine's own while it runs
	next    int       // chunks that are in hash
	running bool
	kicked  bool  // something has come since the goroutine last looked
	pass    *pass // what readers wait for; nil if none does
}

// A pass is the hashing of all that is left, for readers that wait for it. It
// ends with the last of them.
type pass struct {
	fetcher Fetcher
	ahead   *readAhead
	ctx     context.Context
	cancel  context.CancelFunc
	waiters int           // guarded by content.mu
	done    chan struct{} // closed when it has ended
	err     error         // set before
}

// unverify makes the content one that must be hashed again. c.mu is held, and
// c is verified, so no hashing goroutine runs.
func (c *content) unverify() {
	c.verified = false
	c.hashing = hashing{pass: c.hashing.pass}
}

// kickHashing has the hashing go on if the next chunk was seen.
func (c *content) kickHashing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hashing.kicked = true
	if c.hashing.pass == nil && c.notes.get(c.hashing.next).sum == 0 {
		return
	}
	c.startHashing()
}

// startHashing starts the goroutine unless it runs. c.mu is held.
func (c *content) startHashing() {
	if c.hashing.running || c.verified || c.failed != nil {
		return
	}
	c.hashing.running = c.cache.work.run(c.hashOn)
	if c.hashing.running {
		c.users++
	}
}

// verify waits until all of the content is verified, fetching with f what
// isn't there. The caller is a user of c.
func (c *content) verify(ctx context.Context, f Fetcher) error {
	c.mu.Lock()
	c.attach()
	if c.failed != nil || c.verified {
		defer c.mu.Unlock()
		return c.failed
	}
	p := c.hashing.pass
	if p == nil {
		p = &pass{fetcher: f, ahead: newReadAhead(c, f), done: make(chan struct{})}
		p.ctx, p.cancel = context.WithCancel(c.cache.ctx)
		c.hashing.pass = p
	}
	p.waiters++
	c.startHashing()
	started := c.hashing.running
	c.mu.Unlock()
	if !started {
		c.endPass(p, errClosed)
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	p.waiters--
	last := p.waiters == 0
	if last && c.hashing.pass == p {
		c.hashing.pass = nil
	}
	c.mu.Unlock()
	if last {
		p.end()
	}
	return ctx.Err()
}

// end frees what p holds; nobody waits for it any more.
func (p *pass) end() {
	p.cancel()
	p.ahead.close()
}

// endPass tells those who wait for p how it ended.
func (c *content) endPass(p *pass, err error) {
	c.mu.Lock()
	if c.hashing.pass == p {
		c.hashing.pass = nil
		p.err = err
		close(p.done)
	}
	c.mu.Unlock()
	p.end()
}

// hashOn is the hashing goroutine.
func (c *content) hashOn() {
	defer c.leave()
	for {
		i, p, err := c.nextToHash()
		if err != nil {
			if p != nil {
				c.endPass(p, err)
			}
			return
		}
		if i == c.grid.chunks() {
			c.conclude()
			return
		}
		data := c.there(i)
		if data == nil && p != nil {
			if data, err = c.bring(p, i); err != nil {
				c.endPass(p, err)
				continue
			}
		}
		if data == nil && c.restHashing() {
			return
		}
		if data != nil {
			c.addToHash(data)
		}
	}
}

// nextToHash is the next chunk to be hashed, and the pass that wants it. With
// an error there is nothing to do, and the goroutine has to end.
func (c *content) nextToHash() (int, *pass, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.hashing
	h.kicked = false
	if h.hash == nil {
		h.hash = c.key.Digest.Algorithm().Hash()
	}
	seen := h.next == c.grid.chunks() || c.notes.get(h.next).sum != 0
	err := c.failed
	switch {
	case err != nil:
	case c.cache.ctx.Err() != nil:
		err = errClosed
	case h.pass == nil && !seen:
		err = errAgain
	}
	h.running = err == nil
	return h.next, h.pass, err
}

// restHashing ends the goroutine unless something has come in the meantime.
func (c *content) restHashing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hashing.kicked || c.hashing.pass != nil {
		return false
	}
	c.hashing.running = false
	return true
}

func (c *content) addToHash(data []byte) {
	_, _ = c.hashing.hash.Write(data) // a hash never fails, see hash.Hash
	c.mu.Lock()
	c.hashing.next++
	c.mu.Unlock()
}

// there is chunk i if it is in memory or on disk.
func (c *content) there(i int) []byte {
	if data, ok := c.cache.memory.get(chunkKey(c.id, i)); ok {
		return data
	}
	c.mu.Lock()
	c.attach()
	stored := c.onDisk(i)
	c.mu.Unlock()
	if !stored {
		return nil
	}
	return c.load(i)
}

// bring fetches chunk i for a pass, and asks for those after it.
func (c *content) bring(p *pass, i int) ([]byte, error) {
	p.ahead.read(c.grid.offset(i), int64(c.grid.length(i)))
	chunks, err := c.chunks(p.ctx, p.fetcher, i, i)
	if p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
	}
	if err != nil {
		return nil, err
	}
	return chunks[0], nil
}

// conclude compares the digest of the whole.
func (c *content) conclude() {
	c.mu.Lock()
	p := c.hashing.pass
	d := digest.NewDigest(c.key.Digest.Algorithm(), c.hashing.hash)
	c.hashing.running = false
	right := d == c.key.Digest
	if right {
		c.verified = true
	}
	c.mu.Unlock()
	var err error
	if !right {
		err = c.fail(fmt.Sprintf("all of it is %s", d))
	}
	if p != nil {
		c.endPass(p, err)
	}
	if right {
		c.settle()
	}
}

// settle turns a verified content that is all on disk into a complete blob.
// The caller is a user of c.
func (c *content) settle() {
	c.mu.Lock()
	store := c.store
	c.mu.Unlock()
	if store == nil || !store.isFull() {
		return
	}
	// What an earlier process left is part of it only if it is what was hashed.
	for i := range c.grid.chunks() {
		if !store.isSure(i) && c.load(i) == nil {
			return
		}
	}
	store.finish()
}
