package cache

import "context"

// maxFilling bounds the memory of what is being made to be kept, in bytes.
const maxFilling = 64 << 20

// Keep is what fill makes, kept in memory under a key like a chunk: fill is
// called once however many ask, and again when memory has dropped it. The
// bytes are shared, and nobody changes them. An error of fill is returned to all
// who wait and isn't remembered. When ctx ends, Keep returns its error at once;
// after twice Options.Timeout it returns a context.DeadlineExceeded.
//
// While fill runs it takes cost bytes of memory: of all that run, no more than
// maxFilling, or one alone.
//
// The context that fill gets is the cache's: it outlives the caller's. fill may
// read from the cache.
func (c *Cache) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	key = keptKey(key)
	if data, ok := c.made(key); ok {
		c.counts.memoryHits.Add(1)
		return data, nil
	}
	p := c.patience(ctx)
	defer p.end()
	return c.do(&c.kept, p, key, func() ([]byte, error) { return c.fill(key, min(cost, maxFilling), fill) })
}

// Kept is what Keep returns for a key, if that is in memory.
func (c *Cache) Kept(key string) ([]byte, bool) {
	data, ok := c.made(keptKey(key))
	if ok {
		c.counts.memoryHits.Add(1)
	}
	return data, ok
}

// made is what was made and is still here.
func (c *Cache) made(key string) ([]byte, bool) {
	if data, ok := c.memory.get(key); ok {
		return data, true
	}
	return c.latest.get(key)
}

// Lend makes what chunks and the like take of memory smaller by n bytes, because
// their user takes them for something else; a negative n gives them back. An eighth
// of Options.Memory stays in any case.
func (c *Cache) Lend(n int64) { c.memory.lend(n) }

// keptKey never meets a chunk's key, which has 12 bytes, or a small blob's, which
// begins with an algorithm's name.
func keptKey(key string) string { return "kept:        " + key }

func (c *Cache) fill(key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	// One that landed between the caller's look and its flight.
	if data, ok := c.made(key); ok {
		return data, nil
	}
	if err := c.filling.Acquire(c.ctx, cost); err != nil {
		return nil, errClosed
	}
	defer c.filling.Release(cost)
	data, err := fill(c.ctx)
	if err != nil {
		return nil, c.closedOr(err)
	}
	c.memory.set(key, data)
	c.latest.put(key, data)
	return data, nil
}
