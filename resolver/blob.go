package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
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
// have them by its descriptor. What it promises:
//
//   - The body are those bytes where the source serves ranges. Where it doesn't, or
//     not this one, the body is the whole blob: that is asked for once where a range
//     is refused or answered with something else.
//   - The body gives exactly those bytes or an error, neither more nor less. It
//     repairs itself: a connection that breaks off or stalls is replaced by one
//     that goes on at the byte it had come to.
//   - Fetch returns within twice Options.Timeout, and so does each Read, of the
//     time that somebody waits: while wanted is open and the host has no slot to
//     spare, nobody does. A reader may take as long as it likes between Reads.
//   - It tries again after a failure that may pass: up to five times without
//     progress, once after a stall. An error is that of the last attempt: a stall
//     is context.DeadlineExceeded, an answer *errcode.ErrorResponse, a source
//     that tells another size of the blob *SizeError, a body that always ends
//     early io.ErrUnexpectedEOF.
//   - ctx holds for the body too. Close may be called while a Read waits, which
//     then returns.
//
// The content isn't compared with the digest: no part of a blob could be.
func (b *Blob) Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (body io.ReadCloser, whole bool, err error) {
	body, whole, err = b.fetch(ctx, off, n, wanted)
	if err != nil {
		return nil, false, fmt.Errorf("fetch bytes %d-%d of blob %s in %s: %w", off, off+n-1, b.desc.Digest, b.repo, err)
	}
	return body, whole, nil
}

func (b *Blob) fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (io.ReadCloser, bool, error) {
	switch {
	case off < 0 || n < 0 || n > b.desc.Size-off:
		return nil, false, fmt.Errorf("the blob has %d bytes", b.desc.Size)
	case n == 0:
		return http.NoBody, false, nil
	case b.desc.Data != nil:
		return io.NopCloser(bytes.NewReader(b.desc.Data[off : off+n])), false, nil
	}
	if err := checkDigest(b.desc.Digest); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	body := b.newBody(ctx, off, n, wanted)
	if _, err := body.advance(nil); err != nil {
		_ = body.Close()
		return nil, false, err
	}
	return body, body.end-body.pos > n, nil
}

// PassOver takes that what came isn't the blob: where it came from a mirror, the next
// host is asked from now on.
func (b *Blob) PassOver() {
	w, ok := b.repo.registry.mirrors.serving.Get(b.repo.blobKey(b.desc.Digest))
	if ok && !w.last {
		b.repo.passOver(w, b.desc.Digest, time.Now(), fmt.Errorf("blob %s in %s: %w", b.desc.Digest, w.repository(b.repo.name), errMismatch))
	}
}

// Unsure tells whether a part of the blob may cost as much as all of it: the host that
// serves it is a mirror, which may have to fetch it first, or has sent a whole blob for a
// part before, as a cache does that stands in a registry's place.
func (b *Blob) Unsure() bool {
	if b.desc.Data != nil {
		return false
	}
	m := b.repo.registry.mirrors
	w, ok := m.serving.Get(b.repo.blobKey(b.desc.Digest))
	if !ok {
		if able := m.able(canPull); len(able) > 0 {
			w = able[0]
		}
	}
	return w != nil && (w.passed() || w.sendsWhole.Load())
}

// A SizeError is that a blob has another size than its descriptor says, as far
// as its source can be believed.
type SizeError struct {
	Digest digest.Digest
	Size   int64 // the descriptor's
	Told   int64 // the source's
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the blob %s has %d bytes: the descriptor's size, %d, is wrong", e.Digest, e.Told, e.Size)
}

var errClosed = errors.New("the body is closed")
