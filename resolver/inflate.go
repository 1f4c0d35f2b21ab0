package resolver

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
)

// gzipMagic is what gzip's output begins with (RFC 1952, section 2.3.1). JSON never
// does.
const gzipMagic = "\x1f\x8b"

// inflate makes an answer's body what it was before it was compressed, if it was.
// What comes out may be of any length: who reads it bounds it.
func inflate(resp *http.Response) error {
	raw := bufio.NewReaderSize(resp.Body, 4<<10)
	body := &inflatedBody{Reader: raw, Closer: resp.Body}
	if begin, _ := raw.Peek(len(gzipMagic)); string(begin) == gzipMagic {
		inflated, err := gzip.NewReader(raw)
		if err != nil {
			return unexpected(err)
		}
		body.Reader = inflated
	}
	resp.Body, resp.ContentLength = body, -1
	return nil
}

// An inflatedBody is a body that was compressed.
type inflatedBody struct {
	io.Reader
	io.Closer // of the answer's
}

// A plainBody is the body of an answer that is JSON, or HTML, and that comes
// compressed all the same where a front does that to whatever it sends. Nothing is
// read before it is.
type plainBody struct {
	resp http.Response // whose body it is
	err  error         // of the beginning
	read bool          // it has begun
}

// undo makes an answer's body plain.
func undo(resp *http.Response) {
	if resp.Body == http.NoBody {
		return
	}
	if saysGzip(resp) {
		resp.ContentLength = -1
	}
	resp.Body = &plainBody{resp: http.Response{Body: resp.Body}}
}

// Read implements io.Reader.
func (b *plainBody) Read(p []byte) (int, error) {
	if !b.read {
		b.read, b.err = true, inflate(&b.resp)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.resp.Body.Read(p)
}

// Close implements io.Closer.
func (b *plainBody) Close() error { return b.resp.Body.Close() }
