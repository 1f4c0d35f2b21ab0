package fs

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/archive"
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

// Fetch brings what of the part isn't here. advance is told how many bytes more are
// here, those that were from the start among them. That it isn't kept on disk in the end
// is an error too.
func (p *Part) Fetch(ctx context.Context, advance func(int64)) error {
	if err := p.what.fetch(ctx, advance); err != nil {
		return fmt.Errorf("%s (%s): %w", p.Name, p.Digest, err)
	}
	return nil
}

// errNotKept is that something came and isn't on disk.
var errNotKept = errors.New("it came and isn't kept: the disk is full or too slow, or the cache too small for all that is wanted")

// A wholeBlob is all of a blob.
type wholeBlob struct {
	repo *repository
	desc ocispec.Descriptor
}

func (w wholeBlob) here(ctx context.Context) (int64, error) {
	blob, err := w.repo.open(w.desc)
	if err != nil {
		return 0, err
	}
	n, err := blob.Here(ctx, 0, w.desc.Size)
	return n, errors.Join(err, blob.Close())
}

// fetchRounds is how often all of a blob is read until it is on disk: what a disk
// can't take in time isn't kept.
const fetchRounds = 3

// step is how much is read at once.
const step = 1 << 20

func (w wholeBlob) fetch(ctx context.Context, advance func(int64)) (err error) {
	if size, ok := w.repo.tree.cache.CachedSize(w.desc.Digest); ok && size == w.desc.Size {
		advance(size)
		return nil
	}
	blob, err := w.repo.open(w.desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	for round := range fetchRounds {
		if err := readAll(ctx, blob, w.desc.Size, func(n int64) {
			if round == 0 {
				advance(n)
			}
		}); err != nil {
			return err
		}
		if kept, err := blob.Kept(ctx); err != nil || kept {
			return err
		}
	}
	return errNotKept
}

// readAll reads a blob to its end, in order.
func readAll(ctx context.Context, blob *cache.Blob, size int64, advance func(int64)) (err error) {
	r := blob.Whole()
	defer func() { err = errors.Join(err, r.Close()) }()
	p := make([]byte, min(step, size))
	for off := int64(0); off < size; {
		n, err := r.ReadAt(ctx, p[:min(int64(len(p)), size-off)], off)
		if err != nil && n == 0 {
			return err
		}
		off += int64(n)
		advance(int64(n))
	}
	return nil
}

// blobRanges are some bytes of a blob.
type blobRanges struct {
	repo   *repository
	desc   ocispec.Descriptor
	ranges []archive.Range
}

func (b blobRanges) here(ctx context.Context) (sum int64, err error) {
	blob, err := b.repo.open(b.desc)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	for _, r := range b.ranges {
		n, err := blob.Here(ctx, r.Offset, r.Length)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// rangesAtOnce is how many ranges of a blob are asked for at the same time.
const rangesAtOnce = 4

func (b blobRanges) fetch(ctx context.Context, advance func(int64)) (err error) {
	blob, err := b.repo.openRead(b.desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(rangesAtOnce)
	for _, r := range b.ranges {
		for off := r.Offset; off < r.Offset+r.Length; off += step {
			n := min(step, r.Offset+r.Length-off)
			group.Go(b.repo.tree.guarded(func() error {
				if _, err := blob.ReadAt(each, make([]byte, n), off); err != nil {
					return err
				}
				advance(n)
				return nil
			}))
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return b.settled(ctx)
}

// settled waits until what was read is on disk.
func (b blobRanges) settled(ctx context.Context) (err error) {
	blob, err := b.repo.open(b.desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	if _, err := blob.Kept(ctx); err != nil {
		return err
	}
	for _, r := range b.ranges {
		if n, err := blob.Here(ctx, r.Offset, r.Length); err != nil || n < r.Length {
			return errors.Join(err, errNotKept)
		}
	}
	return nil
}

// An imageTree is the tree of an image, and with it the indexes of its layers.
type imageTree struct{ image *images.Image }

func (imageTree) here(context.Context) (int64, error) { return 0, nil }

func (i imageTree) fetch(ctx context.Context, _ func(int64)) error {
	_, err := i.image.Tree(ctx)
	return err
}
