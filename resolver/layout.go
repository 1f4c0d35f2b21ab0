package resolver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A Layout is an OCI image layout on the local disk (image specification,
// "Image Layout"): a folder, or a tar of one. The older archives of docker save
// are read as if they were one.
//
// It keeps no content. oras-go's content/oci isn't used: it allocates what a
// descriptor says is its size, has no ranges, and reads every manifest before
// the first question.
type Layout struct {
	path  string
	files layoutFiles
	log   *slog.Logger
	known atomic.Pointer[layoutIndex] // of the index.json that was read last
	turn  chan struct{}               // held by who looks for referrers
}

// layoutFiles are the files of a layout, by their paths in it.
type layoutFiles interface {
	// open opens a regular file. One that isn't there is fs.ErrNotExist.
	open(name string) (layoutFile, error)
	io.Closer
}

// A layoutFile is a regular file that is open.
type layoutFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// maxLayoutFile bounds the file oci-layout, in bytes: it holds a version.
const maxLayoutFile = 4 << 10

// OpenLayout opens the layout at path: a folder, a tar that isn't compressed
// (oci-archive, docker buildx -o type=oci), or what docker save writes. A
// folder may change afterwards, a tar may not. What is none of these is
// errdef.ErrUnsupported. A nil log discards.
//
// A tar's headers are read once, and the layers of an older archive of docker
// save too if they are compressed: nothing else says their digests. That may take
// long, and ends with the context.
//
// A folder that is removed and made anew at its path is another: it has to be
// opened again.
//
// Of several images with one tag, as docker save writes them of several names,
// the last has it. The others are in Manifests.
func OpenLayout(ctx context.Context, path string, log *slog.Logger) (*Layout, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	files, err := openLayoutFiles(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open layout %s: %w", path, err)
	}
	l, err := newLayout(ctx, path, files, log)
	if err != nil {
		_ = files.Close()
		return nil, fmt.Errorf("open layout %s: %w", path, err)
	}
	return l, nil
}

func openLayoutFiles(ctx context.Context, path string) (layoutFiles, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return openLayoutFolder(path)
	default:
		return openLayoutTar(ctx, path)
	}
}

// newLayout checks that the files are a layout's.
func newLayout(ctx context.Context, path string, files layoutFiles, log *slog.Logger) (*Layout, error) {
	l := &Layout{path: path, files: files, log: log, turn: make(chan struct{}, 1)}
	content, err := l.read(ctx, ocispec.ImageLayoutFile, maxLayoutFile)
	if err != nil {
		return nil, err
	}
	var layout ocispec.ImageLayout
	if err := json.Unmarshal(content, &layout); err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageLayoutFile, err)
	}
	if layout.Version != ocispec.ImageLayoutVersion {
		return nil, fmt.Errorf("%s: version %q: %w", ocispec.ImageLayoutFile, layout.Version, errdef.ErrUnsupported)
	}
	if _, err := l.index(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// Close closes the layout. Bodies that are being read fail.
func (l *Layout) Close() error { return l.files.Close() }

// Path is where the layout is, as it was given.
func (l *Layout) Path() string { return l.path }

// Resolve tells which manifest a tag is, by index.json, or that one with that
// digest is there. It reads the manifest and verifies it. What isn't there
// is errdef.ErrNotFound, a reference that isn't one errdef.ErrInvalidReference.
func (l *Layout) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	desc, err := l.resolve(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve %s in %s: %w", reference, l.path, err)
	}
	return desc, nil
}

func (l *Layout) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	if !ValidTag(reference) {
		return l.describe(ctx, digest.Digest(reference))
	}
	index, err := l.index(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	tagged, ok := index.tags[reference]
	if !ok {
		return ocispec.Descriptor{}, errdef.ErrNotFound
	}
	desc, err := l.describe(ctx, tagged.Digest)
	if err == nil && desc.Size != tagged.Size {
		err = wrongFileSize(desc.Size, tagged)
	}
	return desc, err
}

// describe makes a descriptor of a manifest.
func (l *Layout) describe(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	content, err := l.manifest(ctx, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: DocumentType(content), Digest: d, Size: int64(len(content))}, nil
}

// Manifest reads a manifest or an index by its digest, at most MaxManifest
// bytes (more is errdef.ErrSizeExceedsLimit), and verifies it. One that index.json
// lists as another kind of document is an error, see [Contradiction]. A layout keeps
// manifests and blobs in one place: what is no manifest by its bytes, and isn't
// listed as one, is errdef.ErrNotFound.
func (l *Layout) Manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	content, err := l.manifest(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s of %s: %w", d, l.path, err)
	}
	return content, nil
}

func (l *Layout) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	content, err := l.document(ctx, d)
	if err != nil {
		return nil, err
	}
	index, err := l.index(ctx)
	if err != nil {
		return nil, err
	}
	listed, ok := index.mediaType(d)
	if !ok && kindOf(DocumentType(content)) == kindUnknown {
		return nil, fmt.Errorf("%w: a blob, and no manifest", errdef.ErrNotFound)
	}
	return content, Contradiction(listed, content)
}

// document reads and verifies a blob of at most MaxManifest bytes.
func (l *Layout) document(ctx context.Context, d digest.Digest) ([]byte, error) {
	f, err := l.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	content, err := readFile(f, MaxManifest)
	if err != nil {
		return nil, err
	}
	return content, verify(content, d)
}

// BlobSize tells how many bytes a blob's file has. A blob that isn't there is
// errdef.ErrNotFound.
func (l *Layout) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	size, err := l.blobSize(ctx, d)
	if err != nil {
		return 0, fmt.Errorf("size of blob %s in %s: %w", d, l.path, err)
	}
	return size, nil
}

func (l *Layout) blobSize(ctx context.Context, d digest.Digest) (int64, error) {
	f, err := l.open(ctx, d)
	if err != nil {
		return 0, err
	}
	return f.Size(), f.Close()
}

// open opens a blob's file.
func (l *Layout) open(ctx context.Context, d digest.Digest) (layoutFile, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkDigest(d); err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	f, err := l.files.open(BlobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errdef.ErrNotFound, err)
	}
	return f, err
}

// BlobPath is the path of a blob in a layout; the digest has to be valid.
func BlobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// read returns the content of a file that has at most limit bytes.
func (l *Layout) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.files.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	content, err := readFile(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

func readFile(f layoutFile, limit int64) ([]byte, error) {
	if f.Size() > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, errdef.ErrSizeExceedsLimit)
	}
	content := make([]byte, f.Size())
	n, err := f.ReadAt(content, 0)
	switch {
	case n == len(content):
		return content, nil
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}
