package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// A small blob has at most SmallBlob bytes. It is fetched whole, and verified
// before its first byte is given to anybody; so it is kept by its digest,
// whoever sent it. A manifest is one like any other, except that its size isn't
// known before.

// Document is the small blob d: from memory, from disk, or as fetch gets it,
// which is called once however many ask for what this origin says it is. The
// caller may change what it gets. An error of fetch is returned to all who wait
// and isn't remembered. The error wraps ErrDigest if what fetch got isn't d. When
// ctx ends, Document returns its error at once; after twice Options.Timeout it
// returns a context.DeadlineExceeded.
//
// The context that fetch gets is the cache's: it outlives the caller's.
func (c *Cache) Document(ctx context.Context, origin string, d digest.Digest, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("document %q: %w", d, err)
	}
	p := c.patience(ctx)
	defer p.end()
	data, err := c.small(p, Key{Origin: origin, Digest: d, Size: unknownSize}, fetch)
	return bytes.Clone(data), err
}

// unknownSize is the size of a document.
const unknownSize = -1

// CachedDocument is the document d if it is in memory or on disk; it asks
// nobody.
func (c *Cache) CachedDocument(d digest.Digest) ([]byte, bool) {
	if d.Validate() != nil {
		return nil, false
	}
	data := c.cachedSmall(Key{Digest: d})
	return bytes.Clone(data), data != nil
}

// small is all of a small blob. It is shared: nobody changes it.
func (c *Cache) small(p *patience, k Key, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	data, ok := c.memory.get(smallKey(k))
	if ok {
		c.counts.memoryHits.Add(1)
	} else {
		var err error
		data, err = c.do(&c.smalls, p, k.Origin+" "+k.Digest.String(), func() ([]byte, error) { return c.bringSmall(k, fetch) })
		if err != nil {
			return nil, err
		}
	}
	if k.Size != unknownSize && int64(len(data)) != k.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, not %d: %w", k.Digest, len(data), k.Size, ErrDigest)
	}
	return data, nil
}

// smallKey begins with an algorithm's name, or with "local", see chunkKey and
// keptKey. What is on this machine is what it has, and not what others have.
func smallKey(k Key) string {
	if k.Local {
		return "local " + k.Origin + " " + k.Digest.String()
	}
	return k.Digest.String()
}

// cachedSmall is what memory or the disk has; nil is nothing, an empty blob isn't.
func (c *Cache) cachedSmall(k Key) []byte {
	if data, ok := c.memory.get(smallKey(k)); ok {
		c.counts.memoryHits.Add(1)
		return data
	}
	if c.disk == nil || k.Local {
		return nil
	}
	data := c.disk.readSmall(k.Digest)
	if data != nil {
		c.counts.diskHits.Add(1)
		c.memory.set(smallKey(k), data)
	}
	return data
}

// bringSmall is the one flight of a small blob.
func (c *Cache) bringSmall(k Key, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	if data := c.cachedSmall(k); data != nil {
		return data, nil
	}
	if err := c.wrong.refusal(k); err != nil {
		return nil, err
	}
	c.counts.misses.Add(1)
	c.counts.fetches.Add(1)
	data, err := fetch(c.ctx)
	c.counts.fetchedBytes.Add(int64(len(data)))
	switch {
	case err != nil:
		return nil, c.closedOr(fmt.Errorf("fetch %s from %s: %w", k.Digest, k.Origin, err))
	case len(data) > SmallBlob:
		return nil, fmt.Errorf("fetch %s from %s: its %d bytes are more than %d", k.Digest, k.Origin, len(data), SmallBlob)
	case k.Digest.Algorithm().FromBytes(data) != k.Digest:
		return nil, c.blame(k, "fetched whole")
	}
	c.wrong.forgive(k)
	// Its own bytes, never nil: fetch may go on using what it returned.
	data = append(make([]byte, 0, len(data)), data...)
	c.memory.set(smallKey(k), data)
	if c.disk != nil && !k.Local {
		c.disk.keepSmall(k.Digest, data)
	}
	return data, nil
}

// fetchSmall is what a Fetcher sends of a small blob.
func fetchSmall(f Fetcher, size int64) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		data := make([]byte, size)
		if size == 0 {
			return data, nil
		}
		body, _, err := f.Fetch(ctx, 0, size, nil)
		if err != nil {
			return nil, err
		}
		_, err = io.ReadFull(body, data)
		if closing := body.Close(); err == nil {
			err = closing
		}
		return data, err
	}
}
