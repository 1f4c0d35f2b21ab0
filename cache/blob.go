package cache

import (
	"bytes"
	"context"
	"fmt"
	"os"
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
	cache   *Cache
	key     Key
	fetcher Fetcher
	table   *table // nil for a small blob
	closed  atomic.Bool
}

// Blob is a reference to the blob k, whose missing bytes f fetches; it asks
// nobody yet. The caller closes it. The error says what is wrong with k: a
// digest that isn't one, or a size below zero or above 256 TiB. It wraps
// ErrDigest where k's origin has sent something else again and again, and isn't
// asked now.
func (c *Cache) Blob(k Key, f Fetcher) (*Blob, error) {
	if err := k.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("blob %q: %w", k.Digest, err)
	}
	if k.Size < 0 || k.Size > maxBlob {
		return nil, fmt.Errorf("blob %s: its size %d isn't in 0 to %d", k.Digest, k.Size, int64(maxBlob))
	}
	b := &Blob{cache: c, key: k, fetcher: f}
	if k.Size <= SmallBlob {
		return b, nil
	}
	if err := c.wrong.refusal(k); err != nil && !c.tables.has(k) {
		if size, ok := c.CachedSize(k.Digest); !ok || size != k.Size {
			return nil, err
		}
	}
	b.table = c.tables.open(k, unpacks(f))
	return b, nil
}

// ReadAll is all of a blob of at most SmallBlob bytes, verified. The error
// wraps ErrDigest if what the fetcher gives isn't the blob.
func (b *Blob) ReadAll(ctx context.Context) ([]byte, error) {
	if b.table != nil {
		return nil, fmt.Errorf("blob %s: its %d bytes are too many to be read at once", b.key.Digest, b.key.Size)
	}
	if b.closed.Load() {
		return nil, errClosed
	}
	p := b.cache.patience(ctx)
	defer p.end()
	data, err := b.cache.small(p, b.key, fetchSmall(b.fetcher, b.key.Size))
	return bytes.Clone(data), err
}

// Reader is for one open file: it notices when it is read in sequence and
// reads ahead then. The caller closes it; it may outlive b.
func (b *Blob) Reader() *Reader { return b.reader(inSequence) }

// Parts is a Reader for one who knows what it wants: parts of the blob, each in one
// read. Two that lie beside each other are no sequence yet.
func (b *Blob) Parts() *Reader { return b.reader(partsInSequence) }

// Whole is a Reader for one who reads all of the blob, in order: its first read
// that is larger than a chunk has what follows fetched.
func (b *Blob) Whole() *Reader { return b.reader(wholeInSequence) }

// Checked is Parts for one who compares what it reads with digests of its own
// before anybody else gets it, and tells what is wrong: see Reader.Doubt. It is
// given what isn't verified, even of a blob that was wrong before, unless all
// blobs are verified before their first byte.
func (b *Blob) Checked() *Reader { return b.checked(partsInSequence) }

// Exact is Checked for one who wants no more than it asks for: nothing is read ahead.
func (b *Blob) Exact() *Reader { return b.checked(neverInSequence) }

func (b *Blob) checked(inSequence int) *Reader {
	r := b.reader(inSequence)
	r.checked = b.cache.options.Verify != VerifyFull
	return r
}

func (b *Blob) reader(inSequence int) *Reader {
	if b.table == nil {
		return &Reader{cache: b.cache, key: b.key, fetcher: b.fetcher}
	}
	b.table.hold()
	return newReader(b.table, b.fetcher, inSequence)
}

// Generation tells contents of a large blob apart: what its readers give is the
// same bytes as long as it is. 0 is a small blob, or none that can be told: such
// a blob has always been the right bytes.
func (b *Blob) Generation() uint64 {
	if b.table == nil {
		return 0
	}
	return b.table.id
}

// Look finds out what the disk has of the blob, as every read does, and asks
// nobody else. It returns ctx's error when that ends first.
func (b *Blob) Look(ctx context.Context) error {
	t := b.table
	if t == nil {
		return nil
	}
	if !t.enter() {
		return errClosed
	}
	defer t.leave()
	p := b.cache.patience(ctx)
	defer p.end()
	return t.attach(p)
}

// Verified tells whether every byte that the blob's readers give, and have
// given, is one of content that matches the digest, as far as is known without
// asking anybody: see Look. A blob of at most SmallBlob bytes always is: none of it
// is given out before.
func (b *Blob) Verified() bool {
	t := b.table
	if b.closed.Load() || t == nil {
		return !b.closed.Load()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trust == verified
}

// File is the open file that has all of a large blob, verified, and nothing else;
// nil if there is none, as far as is known: see Look. It stays open, and in the
// cache, as long as one of the blob's readers is. From then on nobody knows which
// of its bytes were read.
func (b *Blob) File() *os.File {
	t := b.table
	if t == nil || !t.handAll() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.complete {
		return nil
	}
	return t.store.data
}

// Close ends the reference. Readers made of it go on.
func (b *Blob) Close() error {
	if !b.closed.Swap(true) && b.table != nil {
		b.table.release()
	}
	return nil
}

// CachedSize is the size of the blob d if it is on disk, whole and verified; it
// asks nobody.
func (c *Cache) CachedSize(d digest.Digest) (int64, bool) {
	if c.disk == nil || d.Validate() != nil {
		return 0, false
	}
	if data := c.disk.readSmall(d); data != nil {
		return int64(len(data)), true
	}
	return c.disk.sizeOf(d)
}
