package fs

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/images"
)

// A Part is something that is brought into the cache.
type Part struct {
	Name   string        // where it is in the artifact, for people
	Digest digest.Digest // of the blob; of an index, the manifest's
	Size   int64         // bytes that have to be here; 0 is an index, whose size nobody knows

	what fetched
}

// A fetched is what a part consists of.
type fetched interface {
	here(ctx context.Context) (int64, error)
	fetch(ctx context.Context, advance func(int64)) error
}

// Here is how many of the part's bytes are here. It asks nobody.
func (p *Part) Here(ctx context.Context) (int64, error) {
	n, err := p.what.here(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s (%s): %w", p.Name, p.Digest, err)
	}
	return n, nil
}

// Fetch brings what of the part isn't here, verified. advance is told how many bytes more
// are here, those that were from the start among them, by several goroutines at once.
// That it isn't on disk in the end is an error too.
func (p *Part) Fetch(ctx context.Context, advance func(int64)) error {
	err := p.what.fetch(ctx, advance)
	if err == nil {
		var n int64
		if n, err = p.what.here(ctx); err == nil && n < p.Size {
			err = errNotKept
		}
	}
	if err != nil {
		return fmt.Errorf("%s (%s): %w", p.Name, p.Digest, err)
	}
	return nil
}

// errNotKept is that something came and isn't on disk.
var errNotKept = errors.New("it came and isn't kept: the disk is full or can't be written, or the cache too small for all that is in use")

// A wholeBlob is all of a blob.
type wholeBlob struct {
	repo *repository
	desc ocispec.Descriptor
}

func (w wholeBlob) here(ctx context.Context) (n int64, err error) {
	err = w.repo.with(w.desc, func(blob *cache.Blob) error {
		n, err = blob.Here(ctx, 0, w.desc.Size)
		return err
	})
	return n, err
}

// fetch tries again what was wrong, once: where a registry has mirrors the next bytes
// come from another.
func (w wholeBlob) fetch(ctx context.Context, advance func(int64)) error {
	once := advanceOnce(advance)
	fetch := func() error {
		return w.repo.with(w.desc, func(blob *cache.Blob) error { return w.keep(ctx, blob, once) })
	}
	err := fetch()
	if errors.Is(err, cache.ErrDigest) && ctx.Err() == nil {
		err = fetch()
	}
	return err
}

// keep reads all of a blob until it is on disk: once more as long as that has brought
// more of it there.
func (w wholeBlob) keep(ctx context.Context, blob *cache.Blob, advance func(upTo int64)) error {
	if err := blob.Look(ctx); err != nil { // so that it is noted as used, and nothing makes room with it
		return err
	}
	if size, ok := w.repo.tree.cache.CachedSize(w.desc.Digest); ok && size == w.desc.Size {
		advance(size)
		return nil
	}
	for before := int64(-1); ; {
		if err := blob.Fill(ctx, advance); err != nil {
			return err
		}
		if kept, err := blob.Kept(ctx); err != nil || kept {
			return err
		}
		now, err := blob.Here(ctx, 0, w.desc.Size)
		if err != nil || now <= before {
			return errors.Join(err, errNotKept)
		}
		before = now
	}
}

// advanceOnce makes of how far something has come how much further that is than ever.
func advanceOnce(advance func(int64)) (upTo func(int64)) {
	most := int64(0)
	return func(off int64) {
		if off > most {
			advance(off - most)
			most = off
		}
	}
}

// layerParts are what is needed of an image's layer for some files.
type layerParts struct {
	repo   *repository
	desc   ocispec.Descriptor
	image  *images.Image
	needed images.Needed
}

func (l layerParts) here(ctx context.Context) (sum int64, err error) {
	err = l.repo.with(l.desc, func(blob *cache.Blob) error {
		sum, err = l.hereOf(ctx, blob)
		return err
	})
	return sum, err
}

func (l layerParts) hereOf(ctx context.Context, blob *cache.Blob) (sum int64, err error) {
	for _, r := range l.needed.Ranges {
		n, err := blob.Here(ctx, r.Offset, r.Length)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// fetch reads them, and waits until they are on disk: once more where all of the blob
// turned out to be wrong meanwhile, and what was right of it went with that.
func (l layerParts) fetch(ctx context.Context, advance func(int64)) error {
	for again := false; ; again = true {
		if err := l.image.Bring(ctx, l.needed, advance); err != nil {
			return err
		}
		kept := false
		err := l.repo.with(l.desc, func(blob *cache.Blob) error {
			if _, err := blob.Kept(ctx); err != nil {
				return err
			}
			n, err := l.hereOf(ctx, blob)
			kept = n == l.size()
			return err
		})
		if err != nil || kept || again {
			return err
		}
		advance = func(int64) {} // which was told
	}
}

// size is how many bytes are needed.
func (l layerParts) size() (sum int64) {
	for _, r := range l.needed.Ranges {
		sum += r.Length
	}
	return sum
}

// with has do called with a blob that is open.
func (r *repository) with(desc ocispec.Descriptor, do func(*cache.Blob) error) (err error) {
	blob, err := r.open(desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	return do(blob)
}

// An imageTree is the tree of an image, and with it the indexes of its layers.
type imageTree struct{ image *images.Image }

func (imageTree) here(context.Context) (int64, error) { return 0, nil }

func (i imageTree) fetch(ctx context.Context, _ func(int64)) error {
	_, err := i.image.Tree(ctx)
	return err
}
