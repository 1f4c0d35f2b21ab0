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
// nothing asks for the first byte. A blob that isn't there is
// errdef.ErrNotFound.
func (r *Repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	ctx, cancel := withBound(ctx, r.registry.bound())
	defer cancel()
	size, err := r.blobSize(ctx, d)
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
	err = r.registry.try(ctx, func() error {
		return r.askBlob(ctx, blobRequest{digest: d, byteRange: "bytes=0-0"}, func(resp *http.Response) error {
			size, err = sizeOf(resp)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		})
	})
	return size, err
}

// sizeOf is the size of the blob that an answer to a range is of.
func sizeOf(resp *http.Response) (int64, error) {
	size := resp.ContentLength
	if resp.StatusCode != http.StatusOK {
		got, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err != nil {
			return 0, err
		}
		size = got.total
	}
	if size < 0 {
		return 0, errors.New("the registry doesn't tell")
	}
	return size, nil
}

// blobSizeByHead returns -1 where the answer says nothing: HEAD isn't allowed,
// or is redirected, and an address that was signed for GET refuses it.
func (r *Repository) blobSizeByHead(ctx context.Context, d digest.Digest) (int64, error) {
	req, err := http.NewRequestWithContext(r.withScope(ctx), http.MethodHead, r.url("blobs", d.String()).String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := r.registry.heads.answer(req)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusOK:
		return resp.ContentLength, nil
	case isRedirect(resp.StatusCode):
		return -1, nil
	}
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusForbidden, http.StatusBadRequest:
		return -1, nil
	}
	return 0, statusError(resp)
}
