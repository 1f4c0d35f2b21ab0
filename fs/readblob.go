package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/archive"
)

// A readBlob is a blob that is open for reading. Where its content turns out to
// be wrong, it is opened anew: what is asked for next is fetched again.
type readBlob struct {
	open func() (*cache.Blob, error)

	mu     sync.Mutex // guards what follows
	now    *readers   // nil where it isn't open
	closed bool
}

// readers are those of one content of a blob.
type readers struct {
	blob    *cache.Blob
	parts   *cache.Reader
	checked *cache.Reader // what it gives is compared with digests
	exact   *cache.Reader // likewise, and no more than what is asked for is wanted
	whole   *cache.Reader // all of it is read, in order
}

var (
	_ archive.CheckedBlob = (*readBlob)(nil)
	_ archive.WholeBlob   = (*readBlob)(nil)
	_ archive.ExactBlob   = (*readBlob)(nil)
)

func newReadBlob(open func() (*cache.Blob, error)) (*readBlob, error) {
	b := &readBlob{open: open}
	_, err := b.current()
	return b, err
}

// current are the readers of now.
func (b *readBlob) current() (*readers, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, os.ErrClosed // what is read ahead may outlive who reads
	}
	if b.now == nil {
		blob, err := b.open()
		if err != nil {
			return nil, err
		}
		b.now = &readers{blob, blob.Parts(), blob.Checked(), blob.Exact(), blob.Whole()}
	}
	return b.now, nil
}

// ReadAt implements archive.Blob.
func (b *readBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return b.read(ctx, p, off, func(r *readers) *cache.Reader { return r.parts })
}

// ReadNext implements archive.WholeBlob.
func (b *readBlob) ReadNext(ctx context.Context, p []byte, off int64) (int, error) {
	return b.read(ctx, p, off, func(r *readers) *cache.Reader { return r.whole })
}

func (b *readBlob) read(ctx context.Context, p []byte, off int64, by func(*readers) *cache.Reader) (int, error) {
	r, err := b.current()
	if err != nil {
		return 0, err
	}
	n, err := by(r).ReadAt(ctx, p, off)
	if errors.Is(err, cache.ErrDigest) {
		err = errors.Join(err, b.close(r))
	}
	return n, err
}

// ReadChecked implements archive.CheckedBlob. That the content was wrong doesn't
// matter to one who compares each part: it gets the part of the next content.
func (b *readBlob) ReadChecked(ctx context.Context, p []byte, off int64) (int, error) {
	return b.readChecked(ctx, p, off, func(r *readers) *cache.Reader { return r.checked })
}

// ReadExact implements archive.ExactBlob.
func (b *readBlob) ReadExact(ctx context.Context, p []byte, off int64) (int, error) {
	return b.readChecked(ctx, p, off, func(r *readers) *cache.Reader { return r.exact })
}

func (b *readBlob) readChecked(ctx context.Context, p []byte, off int64, by func(*readers) *cache.Reader) (int, error) {
	for again := false; ; again = true {
		r, err := b.current()
		if err != nil {
			return 0, err
		}
		n, err := by(r).ReadAt(ctx, p, off)
		if !errors.Is(err, cache.ErrDigest) && (err == nil || b.is(r)) {
			return n, err
		}
		if err = errors.Join(err, b.close(r)); again {
			return 0, err
		}
	}
}

// is tells whether those are the readers still: others may have found the content
// wrong, and closed them.
func (b *readBlob) is(r *readers) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now == r
}

// Doubt implements archive.CheckedBlob.
func (b *readBlob) Doubt(ctx context.Context, off, n int64) (changed bool, err error) {
	r, err := b.current()
	if err != nil {
		return false, err
	}
	err = r.checked.Doubt(ctx, off, n)
	if errors.Is(err, cache.ErrDigest) {
		return true, b.close(r)
	}
	return false, err
}

// Verified tells whether the blob's bytes are known to be right.
func (b *readBlob) Verified() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now != nil && b.now.blob.Verified()
}

// Generation tells apart what has been the blob's content.
func (b *readBlob) Generation() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now == nil {
		return 0
	}
	return b.now.blob.Generation()
}

// Close implements io.Closer.
func (b *readBlob) Close() error { return b.close(nil) }

// close closes the readers, if they are still those; nil are any.
func (b *readBlob) close(r *readers) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = b.closed || r == nil
	if b.now == nil || r != nil && r != b.now {
		return nil
	}
	err := errors.Join(b.now.parts.Close(), b.now.checked.Close(), b.now.exact.Close(), b.now.whole.Close(), b.now.blob.Close())
	b.now = nil
	return err
}

func (r *repository) openRead(desc ocispec.Descriptor) (*readBlob, error) {
	return newReadBlob(func() (*cache.Blob, error) { return r.open(desc) })
}

// archives is where what is made of a repository's archives is kept.
func (r *repository) archives() archive.Store {
	return archiveStore{r.tree.cache, r.origin}
}

// An archiveStore is an archive.Store that keeps things in the cache.
type archiveStore struct {
	*cache.Cache
	origin string
}

// Derive implements archive.Store.
func (s archiveStore) Derive(d digest.Digest, size int64, unpack func(context.Context) (io.ReadCloser, error)) (archive.DerivedBlob, error) {
	return newReadBlob(func() (*cache.Blob, error) {
		return s.Blob(cache.Key{Origin: s.origin, Digest: d, Size: size}, unpacker(unpack))
	})
}

// An unpacker is the fetcher of a blob that is another one, unpacked.
type unpacker func(context.Context) (io.ReadCloser, error)

var _ cache.Unpacker = unpacker(nil)

// Fetch implements cache.Fetcher.
func (u unpacker) Fetch(ctx context.Context, _, _ int64, _ <-chan struct{}) (io.ReadCloser, bool, error) {
	body, err := u(ctx)
	return body, true, err
}

// Unpacks tells the cache that a fetch begins with the first byte.
func (u unpacker) Unpacks() {}
