package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A blobBody is a range of a blob, or all of it, over as many requests as that
// takes.
type blobBody struct {
	blob    *Blob
	ctx     *patience // runs while somebody waits
	turn    turn
	retries *retries

	mu       sync.Mutex // guards everything below; held during a Read
	begun    bool       // an answer has come: the body's first byte is settled
	whole    bool       // a range can't be had
	pos, end int64
	answer   io.ReadCloser // begins at pos; nil if it has to be asked for
	from     *way          // whose it is
	asked    time.Time     // when it was asked for
	broken   error         // why the last answer ended, until it is replaced
	err      error         // of all Reads to come
}

func (b *Blob) newBody(ctx context.Context, off, n int64, wanted <-chan struct{}) *blobBody {
	body := &blobBody{
		blob: b, ctx: newPatience(ctx, b.repo.registry.bound()), retries: b.repo.registry.newRetries(),
		pos: off, end: off + n,
	}
	body.turn = turn{owner: b.desc.Digest.String(), wanted: wanted, patience: body.ctx}
	return body
}

// Read implements io.Reader.
func (b *blobBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return 0, b.err
	case b.pos == b.end:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.advance(p)
	b.err = err
	return n, err
}

// advance reads the next bytes, or, where p is nil, only sees to it that there
// are some. It tries until that succeeds or there is no use in going on.
func (b *blobBody) advance(p []byte) (n int, err error) {
	b.ctx.start()
	defer b.ctx.stop()
	for {
		err, b.broken = b.broken, nil
		if err == nil && b.answer == nil {
			err = b.ask()
		}
		if err == nil && p != nil {
			if n, err = b.take(p); n > 0 {
				b.broken = err // the bytes first
				return n, nil
			}
		}
		if err == nil {
			return 0, nil
		}
		if errors.As(err, new(*passedError)) {
			continue
		}
		if err = b.retries.next(b.ctx, err); err == nil {
			continue
		}
		if b.whole || !hasStatus(err, http.StatusInternalServerError) {
			return 0, bare(err)
		}
		b.askWhole(err) // once: no retry is left
	}
}

// take reads from the answer. What has broken off is dropped, and so is the
// memory of where it came from.
func (b *blobBody) take(p []byte) (int, error) {
	n, err := b.answer.Read(p[:min(int64(len(p)), b.end-b.pos)])
	b.pos += int64(n)
	b.retries.progress(n)
	switch {
	case b.pos == b.end:
		err = nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case err == nil:
		return n, nil
	}
	_ = b.answer.Close()
	b.answer = nil
	if err != nil {
		b.from.repository(b.blob.repo.name).forgetTarget(b.blob.desc.Digest)
		err = b.failed(err)
	}
	return n, err
}

// A passedError is that a host failed, and another serves the blob from now on.
type passedError struct{ err error }

func (e *passedError) Error() string { return e.err.Error() }

func (e *passedError) Unwrap() error { return e.err }

// failed takes that the host that is asked has failed, and has the next one asked.
func (b *blobBody) failed(err error) error {
	err = b.from.named(err)
	if b.ctx.Err() == nil && b.blob.repo.passOver(b.from, b.blob.desc.Digest, b.asked, err) {
		return &passedError{err}
	}
	return err
}

// ask makes one attempt to have an answer that begins at pos, of the host that serves
// the blob.
func (b *blobBody) ask() (err error) {
	if b.from, err = b.blob.repo.serving(b.ctx, b.blob.desc.Digest); err != nil {
		return err
	}
	b.asked = time.Now()
	if err = b.askFrom(b.from.repository(b.blob.repo.name)); err == nil && b.from.passed() {
		err = b.verifySmall()
	}
	if err != nil {
		return b.failed(err)
	}
	b.from.worked()
	return nil
}

// verifySmall compares a small blob with its digest, so that another host can be asked
// for it.
func (b *blobBody) verifySmall() error {
	if b.pos != 0 || b.end != b.blob.desc.Size || b.end > MaxManifest {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(b.answer, b.end))
	_ = b.answer.Close()
	b.answer = nil
	switch {
	case err != nil:
		return err
	case int64(len(content)) < b.end:
		return io.ErrUnexpectedEOF
	}
	if err := verify(content, b.blob.desc.Digest); err != nil {
		return err
	}
	b.answer = io.NopCloser(bytes.NewReader(content))
	return nil
}

// askFrom asks one host. Where a range can't be had the whole blob is asked for, from
// then on, unless there is another host.
func (b *blobBody) askFrom(repo *Repository) error {
	if !b.whole && b.end-b.pos < b.blob.desc.Size { // small blobs; and some servers take no Range at all
		request := blobRequest{digest: b.blob.desc.Digest, turn: &b.turn, byteRange: fmt.Sprintf("bytes=%d-%d", b.pos, b.end-1)}
		err := repo.askBlob(b.ctx, request, b.accept)
		if !errors.As(err, new(*rangeError)) || b.from.passed() {
			return err
		}
		b.askWhole(err)
	}
	request := blobRequest{digest: b.blob.desc.Digest, turn: &b.turn, anew: b.whole}
	return repo.askBlob(b.ctx, request, b.accept)
}

// askWhole gives up ranges.
func (b *blobBody) askWhole(why error) {
	b.blob.repo.registry.log.Debug("a range can't be had, the whole blob is asked for", "repository", b.blob.repo.String(), "digest", b.blob.desc.Digest, "error", redact(why))
	b.whole = true
}

// accept makes the body one of this answer, or lets the answer take over from
// another that broke off.
func (b *blobBody) accept(resp *http.Response) error {
	asked, ranged := span{b.pos, b.end - b.pos}, resp.Request.Header.Get("Range") != ""
	if !ranged {
		asked = span{0, b.blob.desc.Size}
	}
	got, err := b.blob.accept(resp, asked, ranged)
	if err != nil {
		return err
	}
	switch {
	case !b.begun && got.n > b.end-b.pos:
		b.pos, b.end = 0, b.blob.desc.Size
		b.from.sendsWhole.Store(true)
	case got.off == b.pos:
	default:
		if _, err := io.CopyN(io.Discard, resp.Body, b.pos); err != nil {
			return unexpected(err)
		}
	}
	b.begun, b.answer = true, resp.Body
	return nil
}

// bare is an error of Read. An early end is io.ErrUnexpectedEOF itself, which is
// how package io compares it.
func bare(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return redact(err)
}

// unexpected is err, but for an end that comes early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close implements io.Closer. A Read that waits returns first.
func (b *blobBody) Close() error {
	b.ctx.cancel(errClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx.stop()
	if b.err == nil {
		b.err = errClosed
	}
	if b.answer == nil {
		return nil
	}
	err := b.answer.Close()
	b.answer = nil
	return err
}
