package cache

import "context"

// maxFilling bounds the memory of what is being made to be kept, in bytes.
const maxFilling = 64 << 20

// Keep is what fill makes, kept in memory under a key like a chunk: fill is
// called once however many ask, and again when memory has dropped it. The
// bytes are shared, and nobody changes them. An error of fill is returned to all
// who wait and isn't remembered. When ctx ends, Keep returns its error at once.
//
// While fill runs it takes cost bytes of memory: of all that run, no more than
// maxFilling, or one alone.
//
// The context that fill gets is the cache's: it outlives the caller's. fill may
// read from the cache.
func (c *Cache) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	key = keptKey(key)
	if data, ok := c.memory.get(key); ok {
		c.counts.memoryHits.Add(1)
		return data, nil
	}
	c.mu.Lock()
	fl := c.kept[key]
	if fl == nil {
		fl = newFlight(nil)
		c.kept[key] = fl
		if !c.work.run(func() { c.fillKept(key, fl, min(cost, maxFilling), fill) }) {
			delete(c.kept, key)
			fl.land(nil, errClosed)
		}
	}
	c.mu.Unlock()
	return fl.wait(ctx)
}

// keptKey never meets a chunk's key, which has 12 bytes, or a document's, which
// begins with an algorithm's name.
func keptKey(key string) string { return "kept:        " + key }

func (c *Cache) fillKept(key string, fl *flight, cost int64, fill func(context.Context) ([]byte, error)) {
	// One that landed between the caller's look and its flight.
	data, ok := c.memory.get(key)
	var err error
	if !ok {
		if err = c.filling.Acquire(c.ctx, cost); err == nil {
			data, err = fill(c.ctx)
			c.filling.Release(cost)
		}
	}
	if c.ctx.Err() != nil && err != nil {
		err = errClosed
	}
	if err == nil && !ok {
		c.memory.set(key, data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
	fl.land(data, err)
}
