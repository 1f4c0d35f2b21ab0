package resolver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Which bytes of a blob an answer holds is decided here, for every answer: by its
// Content-Range, and by its length where it tells one. What isn't clear isn't
// taken: the whole blob is asked for then.
//
//	200, no Content-Range              the whole, if the length is the blob's size
//	206 or 200, a Content-Range        that range, if it is ours, or holds ours and
//	                                   little else, and the length is the range's
//	gzip by its label, another length  the same, once it is inflated; but a blob that is
//	                                   gzip itself, and comes without a length, as it is
//	any other label                    as without it: the digest decides
//	206 without Content-Range, several
//	ranges, another range, 416, 4xx    nothing: the range can't be had

// maxAligned is how many bytes more than was asked for a range may have on either
// side: some caches answer with the blocks of theirs that hold it.
const maxAligned = 1 << 20

// A span is a range of a blob.
type span struct{ off, n int64 }

// A rangeError is that a range can't be had, for a reason that says nothing of the
// whole blob.
type rangeError struct{ err error }

func (e *rangeError) Error() string { return e.err.Error() }

func (e *rangeError) Unwrap() error { return e.err }

// refusesRange tells whether a status, as the answer to a range, may be about that
// it is one.
func refusesRange(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusGone, http.StatusNotImplemented:
		return true
	}
	return false
}

// accept makes the answer's body the bytes that were asked for, or the whole blob, and
// tells which. ranged is that a range was asked for.
func (b *Blob) accept(resp *http.Response, asked span, ranged bool) (span, error) {
	got, err := parseContentRange(resp.Header.Get("Content-Range"))
	part := err == nil && got.n > 0
	switch status := resp.StatusCode; {
	case status == http.StatusRequestedRangeNotSatisfiable:
		if err == nil && got.total >= 0 {
			if err := b.checkSize(got.total); err != nil {
				return span{}, err
			}
		}
		return span{}, &rangeError{fmt.Errorf("the registry hasn't these bytes, and doesn't say that the descriptor's size, %d, is wrong: %w", b.desc.Size, statusError(resp))}
	case status == http.StatusOK && (!part || resp.ContentLength == b.desc.Size):
		return span{0, b.desc.Size}, b.acceptWhole(resp, asked, ranged)
	case status == http.StatusPartialContent && !part:
		if err == nil {
			err = fmt.Errorf("invalid Content-Range %q", resp.Header.Get("Content-Range"))
		}
		return span{}, &rangeError{err}
	case status == http.StatusOK && resp.ContentLength != got.n:
		// It may hold anything.
		return span{}, &rangeError{fmt.Errorf("the answer is 200, has Content-Range %q, and %d bytes", resp.Header.Get("Content-Range"), resp.ContentLength)}
	case status == http.StatusOK || status == http.StatusPartialContent:
		return b.acceptPart(resp, got, asked)
	}
	return span{}, statusError(resp)
}

// acceptWhole takes an answer that is the whole blob.
func (b *Blob) acceptWhole(resp *http.Response, asked span, ranged bool) error {
	switch length := resp.ContentLength; {
	case length == b.desc.Size:
		return nil
	case saysGzip(resp):
		return b.inflate(resp, 0)
	case ranged && length == asked.n:
		return &rangeError{fmt.Errorf("the answer has as many bytes as the range, and doesn't say that it is one")}
	default:
		return b.checkSize(length)
	}
}

// acceptPart takes an answer that is a part of the blob by its Content-Range, and
// skips what comes before the bytes that were asked for. Where that is much, or what comes
// after them is, all of the blob is as good.
func (b *Blob) acceptPart(resp *http.Response, got contentRange, asked span) (span, error) {
	if err := b.checkSize(got.total); err != nil {
		if saysGzip(resp) {
			err = &rangeError{err} // it may be the size of what is compressed
		}
		return span{}, err
	}
	whole := got.off == 0 && got.n == b.desc.Size
	before, after := asked.off-got.off, got.off+got.n-(asked.off+asked.n)
	other := &rangeError{fmt.Errorf("the answer is another range: Content-Range %q with %d bytes", resp.Header.Get("Content-Range"), resp.ContentLength)}
	switch {
	case before < 0 || after < 0, !whole && max(before, after) > maxAligned:
		return span{}, other
	case resp.ContentLength == got.n:
	case saysGzip(resp):
		if err := b.inflate(resp, got.off); err != nil {
			return span{}, err
		}
	case resp.ContentLength >= 0:
		return span{}, other
	}
	if max(before, after) > maxAligned {
		return span{0, b.desc.Size}, nil
	}
	_, err := io.CopyN(io.Discard, resp.Body, before)
	return asked, unexpected(err)
}

// inflate makes an answer that is labelled as compressed, and begins at a byte of the
// blob, what it was before. Where it has no length, the label may be that of a blob
// that is compressed itself, as most layers are: then it isn't gzip inside once more.
func (b *Blob) inflate(resp *http.Response, from int64) error {
	if resp.ContentLength < 0 && from == 0 && strings.Contains(strings.ToLower(b.desc.MediaType), "gzip") {
		raw := bufio.NewReaderSize(resp.Body, 4<<10)
		resp.Body = &inflatedBody{Reader: raw, Closer: resp.Body}
		if begin, _ := raw.Peek(raw.Size()); !gzipInGzip(begin) {
			return nil
		}
	}
	return inflate(resp)
}

// gzipInGzip tells whether what begins so is gzip, and what it holds as well.
func gzipInGzip(begin []byte) bool {
	outer, err := gzip.NewReader(bytes.NewReader(begin))
	if err != nil {
		return false
	}
	inner := make([]byte, len(gzipMagic))
	_, err = io.ReadFull(outer, inner)
	return err == nil && string(inner) == gzipMagic
}

// checkSize compares what a source tells, -1 if nothing, with the descriptor.
func (b *Blob) checkSize(told int64) error {
	if told >= 0 && told != b.desc.Size {
		return &SizeError{Digest: b.desc.Digest, Size: b.desc.Size, Told: told}
	}
	return nil
}

// saysGzip tells whether an answer is labelled as compressed. Object stores keep
// labels of intact blobs too, and some fronts compress whatever they send.
func saysGzip(resp *http.Response) bool {
	label := strings.TrimSpace(resp.Header.Get("Content-Encoding"))
	return strings.EqualFold(label, "gzip") || strings.EqualFold(label, "x-gzip")
}
