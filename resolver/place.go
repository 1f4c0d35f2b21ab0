package resolver

import (
	"context"
	"io"
	"net/http"
)

// A place is one of those that a host has for requests.
type place struct {
	leave func()
	slot  *slot // nil where it isn't a blob's
}

// place waits for one.
func (h *host) place(ctx context.Context, fell <-chan struct{}, t *turn) (place, error) {
	if t != nil {
		slot, err := h.bodies.acquire(ctx, fell, t)
		if err != nil {
			return place{}, err
		}
		return place{slot.release, slot}, nil
	}
	select {
	case h.others <- struct{}{}:
		return place{func() { <-h.others }, nil}, nil
	case <-fell:
		return place{}, errStopped
	case <-ctx.Done():
		return place{}, timedOut(ctx, ctx.Err())
	}
}

// The end of an answer is the last of so many parts of it, where it has minEnding bytes or
// more: of one of 16 MiB at 50 MB/s that is 40 ms, and the next answer of a registry that
// is near has begun by then.
const (
	endingPart = 8
	minEnding  = 1 << 20
)

// watch has the slot told when the answer is near its end.
func (p place) watch(resp *http.Response) {
	if n := resp.ContentLength; p.slot != nil && n >= minEnding {
		resp.Body = &endingBody{ReadCloser: resp.Body, left: n - n/endingPart, end: p.slot.end}
	}
}

// An endingBody tells when it is near its end.
type endingBody struct {
	io.ReadCloser
	left int64 // bytes until then
	end  func()
}

// Read implements io.Reader.
func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		if b.left -= int64(n); b.left <= 0 {
			b.end()
		}
	}
	return n, err
}
