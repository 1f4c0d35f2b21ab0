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
	resp, err := r.askBlob(ctx, http.MethodGet, d, "bytes=0-0")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if resp.ContentLength < 0 {
			return 0, errors.New("the registry doesn't tell")
		}
		return resp.ContentLength, nil
	}
	got, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return 0, err
	}
	if got.total < 0 {
		return 0, errors.New("the registry doesn't tell")
	}
	return got.total, nil
}

// blobSizeByHead returns -1 where the answer says nothing: HEAD isn't allowed,
// or is redirected, and an address that was signed for GET refuses it.
func (r *Repository) blobSizeByHead(ctx context.Context, d digest.Digest) (int64, error) {
	resp, err := r.askRegistry(ctx, http.MethodHead, r.url("blobs", d.String()), "")
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.ContentLength, nil
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusForbidden, http.StatusBadRequest:
		return -1, nil
	}
	if isRedirect(resp.StatusCode) {
		return -1, nil
	}
	return 0, statusError(resp)
}
