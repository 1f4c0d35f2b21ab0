package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/archive"
)

// maxLayers bounds the layers that a mount remembers while nobody looks into
// them. Those that the kernel knows something of stay beyond.
const maxLayers = 64

// layer opens layer i, telling passed what is known of it on the way. Two
// manifests of a repository that have the same layer share it.
func (a *artifact) layer(ctx context.Context, i int, passed func(*archive.Layer)) (*archive.Layer, error) {
	r, desc := a.repo, a.Layers[i]
	source := &archive.Source{
		Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType, Annotations: desc.Annotations,
		DiffID: a.diffID(i), Store: r.archives(), Passed: passed,
		Log: r.tree.log.With("reference", r.reference(a.Digest.String())),
	}
	key := fmt.Sprintf("%s@%s %s", r.name, source.TOCKey(), source.DiffID)
	if l, ok := r.tree.layers.Get(key); ok {
		return l, nil
	}
	return await(ctx, r.tree, "layer "+key, func(ctx context.Context) (*archive.Layer, error) {
		blob, err := r.openRead(desc)
		if err != nil {
			return nil, err
		}
		source.Blob = blob
		source.ZTOC = a.ztoc(ctx, source)
		l, err := archive.Open(ctx, source)
		source.Passed = nil
		if err != nil {
			return nil, errors.Join(err, blob.Close())
		}
		// Both are in use for as long as anything refers to them: the kernel may
		// know of files in a layer, whatever is remembered here.
		runtime.SetFinalizer(source, func(*archive.Source) { r.tree.closeUnused(desc, blob) })
		runtime.SetFinalizer(l, func(l *archive.Layer) { r.tree.closeUnused(desc, l) })
		r.tree.layers.Add(key, l)
		return l, nil
	})
}

// closeUnused closes what nobody refers to any more. The runtime calls it.
func (t *tree) closeUnused(desc ocispec.Descriptor, c io.Closer) {
	if err := t.guarded(c.Close)(); err != nil {
		t.log.Debug("close layer", "digest", desc.Digest, "error", err)
	}
}

// diffID is the digest of layer i's tar, "" where the image's config doesn't
// tell.
func (a *artifact) diffID(i int) digest.Digest {
	if len(a.diffIDs) != len(a.Layers) {
		return ""
	}
	return a.diffIDs[i]
}

// A readBlob is a blob that is open for reading. Where its content turns out to
// be wrong, it is opened anew: what is asked for next is fetched again.
type readBlob struct {
	open func() (*cache.Blob, error)

	mu  sync.Mutex // guards now
	now *readers   // nil where it isn't open
}

// readers are those of one content of a blob.
type readers struct {
	blob    *cache.Blob
	parts   *cache.Reader
	checked *cache.Reader // what it gives is compared with digests
}

var _ archive.CheckedBlob = (*readBlob)(nil)

func newReadBlob(open func() (*cache.Blob, error)) (*readBlob, error) {
	b := &readBlob{open: open}
	_, err := b.current()
	return b, err
}

// current are the readers of now.
func (b *readBlob) current() (*readers, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now == nil {
		blob, err := b.open()
		if err != nil {
			return nil, err
		}
		b.now = &readers{blob, blob.Parts(), blob.Checked()}
	}
	return b.now, nil
}

// ReadAt implements archive.Blob.
func (b *readBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	r, err := b.current()
	if err != nil {
		return 0, err
	}
	n, err := r.parts.ReadAt(ctx, p, off)
	if errors.Is(err, cache.ErrDigest) {
		err = errors.Join(err, b.close(r))
	}
	return n, err
}

// ReadChecked implements archive.CheckedBlob. That the content was wrong doesn't
// matter to one who compares each part: it gets the part of the next content.
func (b *readBlob) ReadChecked(ctx context.Context, p []byte, off int64) (int, error) {
	for again := false; ; again = true {
		r, err := b.current()
		if err != nil {
			return 0, err
		}
		n, err := r.checked.ReadAt(ctx, p, off)
		if !errors.Is(err, cache.ErrDigest) {
			return n, err
		}
		if err = errors.Join(err, b.close(r)); again {
			return 0, err
		}
	}
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

// File implements content: an archive's files aren't files of the cache.
func (b *readBlob) File() *os.File { return nil }

// Close implements io.Closer.
func (b *readBlob) Close() error { return b.close(nil) }

// close closes the readers, if they are still those; nil are any.
func (b *readBlob) close(r *readers) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now == nil || r != nil && r != b.now {
		return nil
	}
	err := errors.Join(b.now.parts.Close(), b.now.checked.Close(), b.now.blob.Close())
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
func (u unpacker) Fetch(ctx context.Context, _, _ int64, _ <-chan struct{}) (io.ReadCloser, int64, error) {
	body, err := u(ctx)
	return body, 0, err
}

// Unpacks implements cache.Unpacker.
func (u unpacker) Unpacks() {}
