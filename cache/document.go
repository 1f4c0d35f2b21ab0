package cache

import (
	"bytes"
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Document is the document d: from memory, from disk, or as fetch gets it,
// which is called once however many ask. It is verified, and at most SmallBlob
// bytes long; the caller may change it. An error of fetch is returned to all
// who wait and isn't remembered. The error wraps ErrDigest if what fetch got
// isn't d. When ctx ends, Document returns its error at once.
//
// The context that fetch gets is the cache's: it outlives the caller's.
func (c *Cache) Document(ctx context.Context, d digest.Digest, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("document %q: %w", d, err)
	}
	if data, ok := c.cachedDocument(d); ok {
		return bytes.Clone(data), nil
	}
	c.mu.Lock()
	fl := c.documents[d]
	if fl == nil {
		fl = newFlight(nil)
		c.documents[d] = fl
		if !c.work.run(func() { c.fetchDocument(d, fl, fetch) }) {
			delete(c.documents, d)
			fl.land(nil, errClosed)
		}
	}
	c.mu.Unlock()
	data, err := fl.wait(ctx)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(data), nil
}

// CachedDocument is the document d if it is in memory or on disk; it asks
// nobody.
func (c *Cache) CachedDocument(d digest.Digest) ([]byte, bool) {
	if d.Validate() != nil {
		return nil, false
	}
	data, ok := c.cachedDocument(d)
	return bytes.Clone(data), ok
}

func (c *Cache) cachedDocument(d digest.Digest) ([]byte, bool) {
	if data, ok := c.memory.get(documentKey(d)); ok {
		c.counts.memoryHits.Add(1)
		return data, true
	}
	if c.disk == nil {
		return nil, false
	}
	data := c.disk.readWhole(c.disk.document(d), d)
	if data == nil {
		return nil, false
	}
	c.counts.diskHits.Add(1)
	c.memory.set(documentKey(d), data)
	return data, true
}

// fetchDocument brings fl in. Like a chunk's, the flight stays in its place
// until the document is on disk.
func (c *Cache) fetchDocument(d digest.Digest, fl *flight, fetch func(context.Context) ([]byte, error)) {
	data, err := c.verifiedDocument(d, fetch)
	if err == nil {
		c.memory.set(documentKey(d), data)
	}
	c.mu.Lock()
	fl.land(data, err)
	if err != nil {
		delete(c.documents, d) // nobody who comes now is to get this error
	}
	c.mu.Unlock()
	if err != nil {
		return
	}
	if c.disk != nil {
		c.disk.writeWhole(c.disk.document(d), data)
	}
	c.mu.Lock()
	delete(c.documents, d)
	c.mu.Unlock()
}

func (c *Cache) verifiedDocument(d digest.Digest, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	// One that landed between the caller's look and its flight.
	if data, ok := c.cachedDocument(d); ok {
		return data, nil
	}
	if err := c.slots.Acquire(c.ctx, 1); err != nil {
		return nil, fmt.Errorf("fetch document %s: %w", d, context.Cause(c.ctx))
	}
	defer c.slots.Release(1)
	limit := fetchTimeouts * c.options.Timeout
	ctx, cancel := context.WithTimeoutCause(c.ctx, limit, tooSlow("no answer", limit))
	defer cancel()
	c.counts.fetches.Add(1)
	data, err := fetch(ctx)
	c.counts.fetchedBytes.Add(int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("fetch document %s: %w", d, err)
	}
	if len(data) > SmallBlob {
		return nil, fmt.Errorf("fetch document %s: its %d bytes are more than %d", d, len(data), SmallBlob)
	}
	if d.Algorithm().FromBytes(data) != d {
		c.counts.wrongDigests.Add(1)
		c.log.Warn("a document doesn't match its digest and is dropped", "digest", d, "size", len(data))
		return nil, fmt.Errorf("fetch document %s: %w", d, ErrDigest)
	}
	// Its own bytes: fetch may go on using what it returned.
	return append(make([]byte, 0, len(data)), data...), nil
}
