package cache

import (
	"context"
	"time"
)

// Here is how many of n bytes from off on are on disk; it asks nobody. What is kept of a
// blob that isn't verified is its origin's alone.
func (b *Blob) Here(ctx context.Context, off, n int64) (here int64, err error) {
	end := min(off+n, b.key.Size)
	t := b.table
	switch {
	case off < 0 || off >= end:
		return 0, nil
	case t == nil:
		if size, ok := b.cache.CachedSize(b.key.Digest); !ok || size != b.key.Size {
			return 0, nil
		}
		return end - off, nil
	}
	if err := b.Look(ctx); err != nil {
		return 0, err
	}
	if !t.enter() {
		return 0, errClosed
	}
	defer t.leave()
	last := t.grid.index(end - 1)
	for page := t.grid.index(off) / pageLen; page*pageLen <= last; page++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		there, count := t.keptOf(page)
		for k := range count {
			if i := page*pageLen + k; there[k] {
				here += max(0, min(end, t.grid.offset(i+1))-max(off, t.grid.offset(i)))
			}
		}
	}
	return here, nil
}

// keptOf tells which chunks of a page are on disk, and how many the page has. Somebody
// uses the table.
func (t *table) keptOf(page int) (have [pageLen]bool, count int) {
	first := page * pageLen
	count = min(pageLen, t.grid.chunks()-first)
	look := false
	t.mu.Lock()
	store := t.store
	for k := range count {
		switch t.whereIs(first + k) {
		case stored, sure:
			have[k] = true
		case unlooked:
			look = true
		case absent:
		}
	}
	t.mu.Unlock()
	if look {
		if found, err := store.look(first, count); err == nil { // who reads it will tell what is wrong
			for k, there := range found {
				have[k] = have[k] || there
			}
		}
	}
	return have, count
}

// keptStep is how often Kept looks.
const keptStep = 2 * time.Millisecond

// Kept waits until nothing that came of the blob is on its way to the disk any more, and
// tells whether all of it is there, verified. As long as others of this process read it,
// it waits for what they have fetched, too.
func (b *Blob) Kept(ctx context.Context) (bool, error) {
	ticker := time.NewTicker(keptStep)
	defer ticker.Stop()
	for {
		settling := b.settling() // before the look: what settles in between is seen
		if size, ok := b.cache.CachedSize(b.key.Digest); ok && size == b.key.Size {
			return true, nil
		}
		if !settling {
			return false, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// settling tells whether something of the blob may still become what is kept. Of small
// ones nobody knows which are on their way.
func (b *Blob) settling() bool {
	if b.cache.disk == nil {
		return false
	}
	t := b.table
	if t == nil {
		return b.cache.disk.queue.running.Load() > 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.users > t.handles
}

// Room is how many bytes of blobs can be on disk together, if what else is there goes:
// 0 where nothing can be written. With more than that the first of them go for the last.
func (c *Cache) Room() int64 {
	d := c.disk
	if d == nil || !d.mayWrite() {
		return 0
	}
	most := d.limit - d.limit/lowWater
	if size, free := d.room.space(); size > 0 && d.usage.known() {
		most = min(most, d.usage.now()+free-size/keepFree-size/spare)
	}
	return max(most, 0)
}
