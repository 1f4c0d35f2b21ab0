package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/archive"
)

// Bounds of the archives that a mount remembers while nobody looks into them.
// Those that the kernel knows something of stay beyond.
const (
	maxImages = 16
	maxLayers = 64
	// openAtOnce is how many layers of an image are opened at the same time.
	openAtOnce = 4
)

// image opens an image's layers, each over those before it.
func (r *repository) image(ctx context.Context, d digest.Digest) (*archive.Image, error) {
	key := r.name + "@" + d.String()
	if m, ok := r.tree.images.Get(key); ok {
		return m, nil
	}
	return await(ctx, r.tree, "image "+key, func(ctx context.Context) (*archive.Image, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		layers := make([]*archive.Layer, len(a.Layers))
		opening, ctx := errgroup.WithContext(ctx)
		opening.SetLimit(openAtOnce)
		for i := range layers {
			opening.Go(func() (err error) {
				layers[i], err = a.layer(ctx, i)
				return err
			})
		}
		if err := opening.Wait(); err != nil {
			return nil, err
		}
		m := archive.NewImage(layers)
		r.tree.images.Add(key, m)
		return m, nil
	})
}

// layerTree opens layer i of a manifest by itself.
func (r *repository) layerTree(ctx context.Context, d digest.Digest, i int) (*archive.Image, error) {
	key := r.name + "@" + d.String() + "/" + strconv.Itoa(i)
	if m, ok := r.tree.images.Get(key); ok {
		return m, nil
	}
	return await(ctx, r.tree, "tree "+key, func(ctx context.Context) (*archive.Image, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		l, err := a.layer(ctx, i)
		if err != nil {
			return nil, err
		}
		m := archive.NewTree(l)
		r.tree.images.Add(key, m)
		return m, nil
	})
}

// layer opens layer i. Two manifests of a repository that have the same layer
// share it.
func (a *artifact) layer(ctx context.Context, i int) (*archive.Layer, error) {
	r, desc := a.repo, a.Layers[i]
	source := &archive.Source{
		Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType, Annotations: desc.Annotations,
		DiffID: a.diffID(i), Store: r.archives(), Log: r.tree.log.With("reference", r.reference(a.Digest.String())),
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
		if err != nil {
			return nil, errors.Join(err, blob.Close())
		}
		// It is in use for as long as anything refers to it: the kernel may
		// know of files in it, whatever is remembered here.
		runtime.SetFinalizer(l, func(l *archive.Layer) {
			if err := errors.Join(l.Close(), blob.Close()); err != nil {
				r.tree.log.Debug("close layer", "digest", desc.Digest, "error", err)
			}
		})
		r.tree.layers.Add(key, l)
		return l, nil
	})
}

// diffID is the digest of layer i's tar, "" where the image's config doesn't
// tell.
func (a *artifact) diffID(i int) digest.Digest {
	if len(a.diffIDs) != len(a.Layers) {
		return ""
	}
	return a.diffIDs[i]
}

// A readBlob is a blob that is open for reading.
type readBlob struct {
	*cache.Reader
	blob *cache.Blob
}

// Close ends both.
func (b readBlob) Close() error { return errors.Join(b.Reader.Close(), b.blob.Close()) }

func (r *repository) openRead(desc ocispec.Descriptor) (readBlob, error) {
	blob, err := r.open(desc)
	if err != nil {
		return readBlob{}, err
	}
	return readBlob{blob.Reader(), blob}, nil
}

// archives is where what is made of a repository's archives is kept.
func (r *repository) archives() archive.Store {
	return archiveStore{r.tree.cache, r.tree.registry.Host()}
}

// An archiveStore is an archive.Store that keeps things in the cache.
type archiveStore struct {
	*cache.Cache
	origin string
}

// Derive implements archive.Store.
func (s archiveStore) Derive(d digest.Digest, size int64, unpack func(context.Context) (io.ReadCloser, error)) (archive.DerivedBlob, error) {
	blob, err := s.Blob(cache.Key{Origin: s.origin, Digest: d, Size: size}, unpacker(unpack))
	if err != nil {
		return nil, err
	}
	return readBlob{blob.Reader(), blob}, nil
}

// An unpacker is the fetcher of a blob that is another one, unpacked.
type unpacker func(context.Context) (io.ReadCloser, error)

var _ cache.Unpacker = unpacker(nil)

// Fetch implements cache.Fetcher.
func (u unpacker) Fetch(ctx context.Context, _, _ int64) (io.ReadCloser, int64, error) {
	body, err := u(ctx)
	return body, 0, err
}

// Unpacks implements cache.Unpacker.
func (u unpacker) Unpacks() {}
