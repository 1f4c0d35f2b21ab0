package cache

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// A Key names a blob.
type Key struct {
	// Origin is whose word the content is while it isn't verified: a
	// registry's host. Unverified bytes of one origin are never served as
	// another's; verified ones are shared on disk by digest.
	Origin string
	Digest digest.Digest
	// Size is the descriptor's, in bytes.
	Size int64
	// Local is that the origin is a file of this machine: its content is held in
	// memory, and not written to the disk a second time.
	Local bool
}

// A Blob is a reference to a blob. Its methods may be called by several
// goroutines at once.
type Blob struct {
	content *content
	fetcher Fetcher
	closed  atomic.Bool
}

// Blob is a reference to the blob k, whose missing bytes f fetches; it asks
// nobody yet. The caller closes it. The error says what is wrong with k: a
// digest that isn't one, or a size below zero or above 256 TiB.
func (c *Cache) Blob(k Key, f Fetcher) (*Blob, error) {
	if err := k.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("blob %q: %w", k.Digest, err)
	}
	if k.Size < 0 || k.Size > maxBlob {
		return nil, fmt.Errorf("blob %s: its size %d isn't in 0 to %d", k.Digest, k.Size, int64(maxBlob))
	}
	b := &Blob{content: c.content(k), fetcher: f}
	if unpacks(f) {
		b.content.mu.Lock()
		b.content.ignoresRange = true
		b.content.mu.Unlock()
	}
	return b, nil
}

// ReadAll is all of a blob of at most SmallBlob bytes, verified. The error
// wraps ErrDigest if what the fetcher gives isn't the blob.
func (b *Blob) ReadAll(ctx context.Context) ([]byte, error) {
	c := b.content
	if !c.grid.small() {
		return nil, fmt.Errorf("blob %s: its %d bytes are too many to be read at once", c.key.Digest, c.key.Size)
	}
	if b.closed.Load() || !c.enter() {
		return nil, errClosed
	}
	defer c.leave()
	data := make([]byte, c.key.Size)
	if _, err := c.readAt(ctx, b.fetcher, data, 0); err != nil {
		return nil, err
	}
	return data, nil
}

// Reader is for one open file: it notices when it is read in sequence and
// reads ahead then. The caller closes it; it may outlive b.
func (b *Blob) Reader() *Reader {
	c := b.content
	c.mu.Lock()
	c.handles++
	c.users++
	c.mu.Unlock()
	return &Reader{content: c, fetcher: b.fetcher, ahead: newReadAhead(c, b.fetcher)}
}

// Verified tells whether every byte that the blob's readers give, and have
// given, is one of content that matches the digest. It asks nobody. A blob of
// at most SmallBlob bytes always is: none of it is given out before.
func (b *Blob) Verified() bool {
	c := b.content
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.closed.Load() {
		return false
	}
	c.attach()
	return c.failed == nil && (c.grid.small() || c.verified)
}

// Close ends the reference. Readers made of it go on.
func (b *Blob) Close() error {
	if !b.closed.Swap(true) {
		b.content.release()
	}
	return nil
}

// maxIdle and maxIdleChunks bound the contents that are remembered while
// nobody uses them: a content costs some 2 KiB, a chunk 24 bytes.
const (
	maxIdle       = 4096
	maxIdleChunks = 1 << 20
)

// maxSuspects bounds the keys of blobs that are remembered for having been wrong.
const maxSuspects = 4096

// content is the one for k, with one handle more.
func (c *Cache) content(k Key) *content {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.contents[k]; known != nil {
		known.mu.Lock()
		defer known.mu.Unlock()
		if known.failed == nil {
			known.handles++
			known.users++
			c.wake(known)
			return known
		}
	}
	c.lastID++
	fresh := &content{
		cache:   c,
		key:     k,
		id:      c.lastID,
		grid:    grid{k.Size},
		handles: 1,
		users:   1,
		flights: make(map[int]*flight),
		suspect: c.suspects.Contains(k),
	}
	c.contents[k] = fresh
	return fresh
}

// rest keeps a content that nobody uses any more for a while, if it has
// anything to remember.
func (c *Cache) rest(idle *content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle.mu.Lock()
	again, empty := idle.users > 0, idle.handed == 0 && !idle.verified
	size := len(idle.notes.m) * pageLen
	idle.mu.Unlock()
	if again || c.contents[idle.key] != idle || idle.rests != nil {
		return
	}
	if empty {
		delete(c.contents, idle.key)
		return
	}
	idle.rests, idle.size = c.idle.PushFront(idle), size
	c.idleChunks += size
	for c.idle.Len() > maxIdle || c.idleChunks > maxIdleChunks {
		old := c.idle.Back().Value.(*content)
		c.wake(old)
		delete(c.contents, old.key)
	}
}

// wake takes a content from those that nobody uses. c.mu is held.
func (c *Cache) wake(idle *content) {
	if idle.rests != nil {
		c.idle.Remove(idle.rests)
		c.idleChunks -= idle.size
		idle.rests = nil
	}
}

// forget lets the next Blob of a content that failed start afresh, as a
// suspect: what is read of it must not complete what was read of the failed one.
func (c *Cache) forget(failed *content) {
	c.suspects.Add(failed.key, struct{}{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.contents[failed.key] == failed {
		delete(c.contents, failed.key)
	}
	c.wake(failed)
}
