package cache

import (
	"container/list"
	"fmt"
	"hash/maphash"
	"sync"
)

// content is what the cache knows of one blob as one origin gives it: which
// chunks are where or on their way, and how far it is verified.
//
// It outlives the Blobs that refer to it, as far as Cache.rest keeps it: what
// was handed out must not be forgotten while a program may go on reading.
type content struct {
	cache *Cache
	key   Key
	id    uint64 // of its chunks in memory; never used again
	grid  grid

	// suspect is that these bytes, asked for earlier, didn't match the digest:
	// now none is handed out before all are verified. A program may have got
	// the error for a part it didn't look at (a kernel reads ahead), and go on.
	suspect bool

	rests *list.Element // in cache.idle, nil while in use; guarded by cache.mu
	size  int           // what it costs there, in chunks; likewise

	mu       sync.Mutex // guards what follows; never held across the network
	handles  int        // open Blobs and Readers
	users    int        // handles, runs and hashing: while there is one, the disk stays attached
	attached bool       // the disk has been looked at
	file     bool       // a small blob's file is on disk
	store    *store     // a large blob's; nil without a disk
	failed   error      // wraps ErrDigest; never leaves
	verified bool
	notes    pages[note]
	handed   int             // chunks handed out
	flights  map[int]*flight // chunks on their way, or about to be on disk
	head     *run            // the run that reads the blob from its first byte
	hashing  hashing

	// ignoresRange is that the source sends the whole blob for any range.
	ignoresRange bool
}

// A note is what is remembered of a chunk when its bytes are gone.
type note struct {
	// sum is a keyed hash of the bytes that were here, 0 before. A source
	// that answers differently when asked again is found out by it.
	sum    uint64
	handed bool // the chunk was handed out
}

// sum is a keyed hash of data, never 0. Its key is this process's, so no
// source can aim at a collision.
func (c *content) sum(data []byte) uint64 { return maphash.Bytes(c.cache.seed, data) | 1 }

// recognise compares a chunk that came with what came before; false if it
// differs. A chunk of verified content that nobody has seen, from a source
// that isn't verified itself, makes the content unverified again. c.mu is held.
func (c *content) recognise(i int, sum uint64, trusted bool) bool {
	n := c.notes.at(i)
	if n.sum != 0 {
		return n.sum == sum
	}
	if c.verified && !trusted {
		c.unverify()
	}
	n.sum = sum
	return true
}

// attach looks what is on disk. c.mu is held, and somebody uses c.
func (c *content) attach() {
	if c.attached || c.cache.disk == nil || c.key.Local || c.cache.ctx.Err() != nil {
		return
	}
	c.attached = true
	if c.grid.small() {
		c.file = c.cache.disk.hasBlob(c.key)
		return
	}
	c.store = c.cache.disk.openStore(c.key)
	// Where chunks were handed out unverified, they too must match.
	if c.store != nil && c.store.isComplete() && c.handed == 0 {
		c.verified = true
	}
}

// detach lets go of the disk. c.mu is held.
func (c *content) detach() error {
	store := c.store
	c.attached, c.file, c.store = false, false, nil
	if store == nil {
		return nil
	}
	return store.close()
}

// onDisk says whether chunk i is on disk, as far as is known. c.mu is held.
func (c *content) onDisk(i int) bool {
	return c.file || c.store != nil && c.store.has(i)
}

// load reads chunk i from disk; nil when it isn't there or is damaged, which
// is then known. The caller is a user of c.
func (c *content) load(i int) []byte {
	c.mu.Lock()
	store := c.store
	c.mu.Unlock()
	var data []byte
	trusted := true
	switch {
	case c.grid.small():
		if data = c.cache.disk.readBlob(c.key); data == nil {
			c.mu.Lock()
			c.file = false
			c.mu.Unlock()
		}
	case store != nil:
		data, trusted = store.read(i)
	}
	if data == nil {
		return nil
	}
	sum := c.sum(data)
	c.mu.Lock()
	same, verified := c.recognise(i, sum, trusted), c.verified
	if same && c.grid.small() {
		c.verified = true
	}
	c.mu.Unlock()
	switch {
	case same:
		c.cache.counts.diskHits.Add(1)
		c.cache.memory.set(chunkKey(c.id, i), data)
		c.kickHashing()
		return data
	case verified:
		store.forget(i)
	default:
		_ = c.fail(fmt.Sprintf("chunk %d differs from what is on disk", i)) // the next plan reports it
	}
	return nil
}

// save puts a chunk that arrived on disk, if there is one and it has room.
func (c *content) save(i int, data []byte) {
	c.mu.Lock()
	store, verified, file := c.store, c.verified, c.file
	c.mu.Unlock()
	switch {
	case c.grid.small():
		if c.cache.disk != nil && !c.key.Local && !file && c.cache.disk.writeBlob(c.key.Digest, data) {
			c.mu.Lock()
			c.file = c.attached
			c.mu.Unlock()
		}
	case store != nil:
		if !store.write(i, data, verified) {
			return
		}
		// Looked at anew: whichever of this write and the end of the hashing
		// comes last settles the blob.
		c.mu.Lock()
		verified = c.verified
		c.mu.Unlock()
		if verified {
			c.settle()
		}
	}
}

// handOut says whether chunk i may be given to a reader, and notes that it is;
// false means that all of the content must be verified first.
//
// The rule: what isn't verified is handed out only as long as another chunk
// has never been handed out. So a program that has read every byte, in
// whatever order and with whatever evictions in between, has got its last
// chunk after the digest was checked, and each chunk it got before is the one
// that went into that check, because a chunk that comes again must be the same.
func (c *content) handOut(i int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return false, c.failed
	}
	n := c.notes.at(i)
	handed := c.handed
	if !n.handed {
		handed++
	}
	if !c.verified && handed == c.grid.chunks() {
		return false, nil
	}
	n.handed, c.handed = true, handed
	return true, nil
}

// fail drops the content, which is wrong, from memory and disk: who has it
// open gets an error from now on, who opens it next starts afresh.
func (c *content) fail(how string) error {
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	c.failed = fmt.Errorf("blob %s from %s: %w", c.key.Digest, c.key.Origin, ErrDigest)
	err := c.failed
	c.cache.counts.wrongDigests.Add(1) // before anybody gets the error
	c.verified = false
	store, head := c.store, c.head
	for i, fl := range c.flights {
		fl.land(nil, err)
		delete(c.flights, i)
	}
	c.mu.Unlock()
	c.cache.forget(c)
	if store != nil {
		store.drop()
	}
	if head != nil {
		head.cancel(err)
	}
	c.cache.log.Warn("a blob doesn't match its digest and is dropped",
		"digest", c.key.Digest, "size", c.key.Size, "origin", c.key.Origin, "how", how)
	return err
}

// enter makes the caller a user of c; false if nobody has a handle on it.
func (c *content) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handles == 0 {
		return false
	}
	c.users++
	return true
}

// leave ends what enter began.
func (c *content) leave() { c.let(0) }

// release ends a handle. With the last one ends the blob's stream.
func (c *content) release() { c.let(1) }

func (c *content) let(handles int) {
	c.mu.Lock()
	c.handles -= handles
	c.users--
	users := c.users
	if handles > 0 && c.handles == 0 && c.streaming() {
		c.head.cancel(errAgain)
	}
	var err error
	if users == 0 {
		err = c.detach()
	}
	c.mu.Unlock()
	if err != nil {
		c.cache.log.Debug("closing a blob on disk failed", "digest", c.key.Digest, "error", err)
	}
	if users == 0 {
		c.cache.rest(c)
	}
}
