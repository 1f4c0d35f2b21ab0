package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layoutBlob reads byte ranges of one blob of a layout. It opens the file for
// each.
type layoutBlob struct {
	layout *Layout
	desc   ocispec.Descriptor
}

// Blob makes a reader of the blob with that descriptor. It opens nothing. Where
// the descriptor carries the content, nothing is ever opened.
func (l *Layout) Blob(desc ocispec.Descriptor) Fetcher {
	if desc.Data != nil && (checkDigest(desc.Digest) != nil || !embedded(desc)) {
		l.log.Debug("descriptor's data isn't its content and is left out", "layout", l.path, "digest", desc.Digest)
		desc.Data = nil
	}
	return &layoutBlob{layout: l, desc: desc}
}

// Fetch implements Fetcher. The body is always the range; a disk has no queue.
func (b *layoutBlob) Fetch(ctx context.Context, off, n int64, _ <-chan struct{}) (body io.ReadCloser, whole bool, err error) {
	body, err = b.fetch(ctx, off, n)
	if err != nil {
		return nil, false, fmt.Errorf("read bytes %d-%d of blob %s in %s: %w", off, off+n-1, b.desc.Digest, b.layout.path, err)
	}
	return body, false, nil
}

func (b *layoutBlob) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	switch {
	case off < 0 || n < 0 || n > b.desc.Size-off:
		return nil, fmt.Errorf("the blob has %d bytes", b.desc.Size)
	case n == 0:
		return http.NoBody, nil
	case b.desc.Data != nil:
		return io.NopCloser(bytes.NewReader(b.desc.Data[off : off+n])), nil
	}
	f, err := b.layout.open(ctx, b.desc.Digest)
	if err != nil {
		return nil, err
	}
	if f.Size() != b.desc.Size {
		_ = f.Close()
		return nil, wrongFileSize(f.Size(), b.desc)
	}
	// The file may have become shorter since.
	return &exactBody{&layoutBody{ctx, io.NewSectionReader(f, off, n), f}, n}, nil
}

func wrongFileSize(size int64, desc ocispec.Descriptor) error {
	return fmt.Errorf("the file of %s has %d bytes: the descriptor's size, %d, is wrong", desc.Digest, size, desc.Size)
}

// A layoutBody is a range of a file, until the context ends.
type layoutBody struct {
	ctx   context.Context
	bytes io.Reader
	io.Closer
}

// Read implements io.Reader.
func (b *layoutBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.bytes.Read(p)
}

// An exactBody gives so many bytes of a body, or io.ErrUnexpectedEOF.
type exactBody struct {
	body io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && b.left > 0:
		return n, io.ErrUnexpectedEOF
	case b.left == 0:
		return n, io.EOF
	}
	return n, err
}

// Close implements io.Closer.
func (b *exactBody) Close() error { return b.body.Close() }
