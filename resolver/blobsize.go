package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
)

// BlobSize asks how many bytes a blob has. It sends HEAD, and where that says
// nothing asks for the first byte, and last for all of it, of which it reads
// nothing. A blob that isn't there is
// errdef.ErrNotFound. A mirror is asked if it may resolve tags: nothing proves a size
// either.
func (r *Repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	size, err := askEach(ctx, r, canPull|canResolve, func(ctx context.Context, at *Repository) (int64, error) {
		return at.blobSize(ctx, d)
	})
	r.note(d.String(), err)
	if err != nil {
		return 0, fmt.Errorf("size of blob %s in %s: %w", d, r, err)
	}
	return size, nil
}

func (r *Repository) blobSize(ctx context.Context, d digest.Digest) (int64, error) {
	if err := checkDigest(d); err != nil {
		return 0, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	size, err := r.blobSizeByHead(ctx, d)
	if size >= 0 || err != nil {
		return size, err
	}
	for _, request := range []blobRequest{{digest: d, byteRange: "bytes=0-0"}, {digest: d, anew: true}} {
		err = r.registry.try(ctx, func() error {
			return r.askBlob(ctx, request, func(resp *http.Response) error {
				size, err = sizeOf(resp)
				if err != nil {
					return err
				}
				return resp.Body.Close()
			})
		})
		if !errors.As(err, new(*rangeError)) {
			break
		}
	}
	return size, err
}

// sizeOf is the size of the blob that an answer is of. That it doesn't tell is a
// *rangeError.
func sizeOf(resp *http.Response) (int64, error) {
	got, err := parseContentRange(resp.Header.Get("Content-Range"))
	size := got.total
	if resp.StatusCode == http.StatusOK && err != nil {
		size, err = resp.ContentLength, nil
	}
	if err == nil && size < 0 {
		err = errors.New("the registry doesn't tell")
	}
	if err != nil {
		return 0, &rangeError{err}
	}
	return size, nil
}

// blobSizeByHead returns -1 where the answer says nothing: HEAD isn't allowed, or
// fails, or is redirected, and an address that was signed for GET refuses it.
func (r *Repository) blobSizeByHead(ctx context.Context, d digest.Digest) (int64, error) {
	req, err := http.NewRequestWithContext(r.withScope(ctx), http.MethodHead, r.url("blobs", d.String()).String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := r.registry.heads.answer(req)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusOK && saysGzip(resp):
		return -1, nil // that may be the size of what is sent
	case resp.StatusCode == http.StatusOK && resp.ContentLength == 0 && verify(nil, d) != nil:
		return -1, nil // that of the answer, which has no body
	case resp.StatusCode == http.StatusOK:
		return resp.ContentLength, nil
	case isRedirect(resp.StatusCode):
		return -1, nil
	}
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusForbidden, http.StatusBadRequest,
		http.StatusNotAcceptable, http.StatusInternalServerError:
		return -1, nil
	}
	return 0, statusError(resp)
}
