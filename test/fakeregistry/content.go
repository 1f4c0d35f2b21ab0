package fakeregistry

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// serveContent answers with the whole content, or with 206 or 416 where one
// range was asked for. Several ranges are answered with all of it.
func serveContent(w http.ResponseWriter, req *http.Request, d digest.Digest, mediaType string, c content) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Accept-Ranges", "bytes")
	off, n, status := parseRange(req.Header.Get("Range"), c.size)
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", c.size))
		n = 0
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, c.size))
	}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(status)
	if req.Method == http.MethodHead || n == 0 {
		return
	}
	// The client may leave before the end.
	_, _ = io.Copy(w, io.NewSectionReader(c, off, n))
}

var oneRange = regexp.MustCompile(`^bytes=(\d*)-(\d*)$`)

// parseRange reads a Range header with one range (RFC 9110, section 14.1.2)
// and tells what to answer it with.
func parseRange(header string, size int64) (off, n int64, status int) {
	m := oneRange.FindStringSubmatch(header)
	if m == nil || m[1]+m[2] == "" {
		return 0, size, http.StatusOK
	}
	first, err1 := strconv.ParseInt(m[1], 10, 64)
	last, err2 := strconv.ParseInt(m[2], 10, 64)
	switch {
	case m[1] == "":
		first, last = max(0, size-last), size-1
	case err2 != nil:
		last = size - 1
	}
	if (err1 != nil && m[1] != "") || first >= size || last < first {
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	last = min(last, size-1)
	return first, last - first + 1, http.StatusPartialContent
}

// Generated is the content of a blob that [Registry.AddGenerated] adds: size
// bytes that look random and are the same for the same seed.
func Generated(seed uint64, size int64) *io.SectionReader {
	return io.NewSectionReader(generator(seed), 0, size)
}

// A generator makes the bytes at any offset from its seed.
type generator uint64

func (g generator) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], g.word(uint64(off)/8))
		copied := copy(p[n:], word[off%8:])
		n += copied
		off += int64(copied)
	}
	return len(p), nil
}

// word is the output function of SplitMix64 (Steele, Lea, Flood: Fast
// Splittable Pseudorandom Number Generators, 2014).
func (g generator) word(i uint64) uint64 {
	z := uint64(g) + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
