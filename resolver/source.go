package resolver

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Source is what a repository's content comes from: a registry's [Repository]
// or a [Layout] on the local disk. It is safe for concurrent use. What is wrong
// is told with the same errors, whichever it is.
type Source interface {
	// Resolve tells which manifest a tag or a digest is. One that isn't there
	// is errdef.ErrNotFound, what is no reference errdef.ErrInvalidReference.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Manifest reads a manifest or an index of at most MaxManifest bytes (more
	// is errdef.ErrSizeExceedsLimit). Its content matches the digest, and isn't
	// another kind of document than the source says that it is.
	Manifest(ctx context.Context, d digest.Digest) (content []byte, err error)
	// BlobSize tells how many bytes a blob has. One that isn't there is
	// errdef.ErrNotFound.
	BlobSize(ctx context.Context, d digest.Digest) (int64, error)
	// Blob makes a reader of the blob with that descriptor. It asks nobody.
	Blob(desc ocispec.Descriptor) Fetcher
	// Tags calls page with some of the tags, until all have been listed or page
	// returns an error.
	Tags(ctx context.Context, page func(tags []string) error) error
	// Referrers lists what refers to a manifest, of one artifact type or, where
	// that is "", of any. More than 10,000 are errdef.ErrSizeExceedsLimit.
	Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error)
}

var (
	_ Source = (*Repository)(nil)
	_ Source = (*Layout)(nil)
)

// A Fetcher reads byte ranges of one blob. It holds no bytes but those its
// descriptor carries.
type Fetcher interface {
	// Fetch asks for the n bytes of the blob from offset off on; the blob has
	// to have them by its descriptor.
	//
	// wanted says how urgent it is: nil is that a reader waits. Else nobody does
	// yet, and it is closed once somebody does: a reader has caught up with who
	// reads ahead.
	//
	// The body are these bytes, or, where whole says so, all of the blob: the source
	// has sent that instead. It gives exactly those, neither more nor less, or an
	// error; [Blob.Fetch] says what a registry's does to get them. The context holds
	// for the body too. Close may be called while a Read waits, which then returns.
	Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (body io.ReadCloser, whole bool, err error)
}

var (
	_ Fetcher = (*Blob)(nil)
	_ Fetcher = (*layoutBlob)(nil)
)
