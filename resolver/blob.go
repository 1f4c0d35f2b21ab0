package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A Blob reads byte ranges of one blob from the registry, or from where the
// registry redirects to. It holds no bytes but those its descriptor carries.
type Blob struct {
	repo *Repository
	desc ocispec.Descriptor
}

// Blob makes a client of the blob with that descriptor. It asks nobody. Where
// the descriptor carries the content, nobody is ever asked.
func (r *Repository) Blob(desc ocispec.Descriptor) Fetcher {
	if desc.Data != nil && (checkDigest(desc.Digest) != nil || !embedded(desc)) {
		r.registry.log.Debug("descriptor's data isn't its content and is left out", "repository", r.String(), "digest", desc.Digest)
		desc.Data = nil
	}
	return &Blob{repo: r, desc: desc}
}

// Fetch asks for the n bytes of the blob from offset off on; the blob has to
// have them by its descriptor.
//
// The body begins at byte at of the blob: at is off where the source serves
// ranges. Where it doesn't, at is 0 and the body is the whole blob. A body that
// ends early is io.ErrUnexpectedEOF; it never gives more than it should. The
// context holds for the body too. The time until the body is bounded by three
// times Options.Timeout, each wait in the body by Options.Timeout
// (context.DeadlineExceeded).
func (b *Blob) Fetch(ctx context.Context, off, n int64, _ <-chan struct{}) (body io.ReadCloser, at int64, err error) {
	body, at, err = b.fetch(ctx, off, n)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch bytes %d-%d of blob %s in %s: %w", off, off+n-1, b.desc.Digest, b.repo, err)
	}
	return body, at, nil
}

func (b *Blob) fetch(ctx context.Context, off, n int64) (io.ReadCloser, int64, error) {
	switch {
	case off < 0 || n < 0 || n > b.desc.Size-off:
		return nil, 0, fmt.Errorf("the blob has %d bytes", b.desc.Size)
	case n == 0:
		return http.NoBody, off, nil
	case b.desc.Data != nil:
		return io.NopCloser(bytes.NewReader(b.desc.Data[off : off+n])), off, nil
	}
	if err := checkDigest(b.desc.Digest); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	byteRange := fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	if n == b.desc.Size {
		byteRange = "" // small blobs; and some servers take no Range at all
	}
	resp, err := b.repo.askBlob(ctx, http.MethodGet, b.desc.Digest, byteRange)
	if byteRange != "" && hasStatus(err, http.StatusBadRequest, http.StatusNotImplemented) {
		// Artifactory answers 400 to a Range.
		resp, err = b.repo.askBlob(ctx, http.MethodGet, b.desc.Digest, "")
	}
	if err != nil {
		return nil, 0, err
	}
	body, at, err := b.accept(resp, off, n)
	if err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	return body, at, nil
}

// accept takes an answer that is exactly the range, or the whole blob.
func (b *Blob) accept(resp *http.Response, off, n int64) (io.ReadCloser, int64, error) {
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, 0, fmt.Errorf("the answer has content encoding %q", encoding)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		if resp.ContentLength >= 0 && resp.ContentLength != b.desc.Size {
			return nil, 0, b.wrongSize(resp.ContentLength)
		}
		return &exactBody{resp.Body, b.desc.Size}, 0, nil
	case http.StatusPartialContent:
		got, err := parseContentRange(resp.Header.Get("Content-Range"))
		switch {
		case err != nil:
			return nil, 0, err
		case got.total >= 0 && got.total != b.desc.Size:
			return nil, 0, b.wrongSize(got.total)
		case got.off != off || got.n != n || (resp.ContentLength >= 0 && resp.ContentLength != n):
			return nil, 0, fmt.Errorf("the answer is another range: Content-Range %q with %d bytes",
				resp.Header.Get("Content-Range"), resp.ContentLength)
		}
		return &exactBody{resp.Body, n}, off, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if got, err := parseContentRange(resp.Header.Get("Content-Range")); err == nil && got.total != b.desc.Size {
			return nil, 0, b.wrongSize(got.total)
		}
		return nil, 0, fmt.Errorf("the registry hasn't these bytes: the descriptor's size, %d, is wrong", b.desc.Size)
	default:
		return nil, 0, statusError(resp)
	}
}

func (b *Blob) wrongSize(size int64) error {
	return fmt.Errorf("the blob has %d bytes: the descriptor's size, %d, is wrong", size, b.desc.Size)
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
