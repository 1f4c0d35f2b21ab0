package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strconv"

	"github.com/klauspost/compress/gzip"
)

// stargzTOCDigest is the annotation with the digest of the table of contents,
// unpacked. stargz' zstd:chunked has it as well.
const stargzTOCDigest = "containerd.io/snapshot/stargz/toc.digest"

// The name of the table of contents, an entry of the tar.
const stargzTOCName = "stargz.index.json"

// stargzNames are entries at the root that eStargz puts there. They aren't the
// image's, whether the layer is read by its table of contents or as a tar.
var stargzNames = map[string]bool{
	".prefetch.landmark":    true,
	".no.prefetch.landmark": true,
	stargzTOCName:           true,
}

// isEStargz tells whether a layer claims to be eStargz.
func isEStargz(s *Source) bool {
	return s.Annotations[stargzTOCDigest] != "" && !isZstdChunked(s)
}

// estargzTail is how much of the end of a layer of that size is read at first, in bytes:
// the footer, and with it mostly all of the table, since one more question costs as much
// as some hundred kilobytes. A table has about a two hundredth of its layer.
func estargzTail(size int64) int64 { return min(max(size/128, 64<<10), 1<<20, size) }

// estargzIndex indexes an eStargz layer (stargz-snapshotter, docs/estargz.md).
// It reads the footer and the table of contents alone.
func estargzIndex(ctx context.Context, s *Source, b *builder) error {
	want, ok := parseSHA256(s.Annotations[stargzTOCDigest])
	if !ok {
		return untrusted("eStargz without a digest of it")
	}
	packed, at, err := estargzTOC(ctx, s)
	if err != nil {
		return err
	}
	// It is inflated twice, so that nothing is taken from what doesn't have the
	// digest, and it needn't be held in memory.
	toc, err := unpackEStargzTOC(packed)
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, toc); err != nil {
		return untrusted("inflate it: %w: %w", ErrFormat, err)
	}
	if got := [sha256.Size]byte(hash.Sum(nil)); got != want {
		return untrusted("it is sha256:%x instead of sha256:%x: %w", got, want, ErrDigest)
	}
	if toc, err = unpackEStargzTOC(packed); err != nil {
		return err
	}
	b.hide = stargzNames
	t := tocReader{b: b, codec: codecGzip, limit: at}
	return t.read(toc)
}

// estargzTOC fetches the gzip member with the table of contents, and says where
// in the layer it begins.
func estargzTOC(ctx context.Context, s *Source) (packed []byte, at int64, err error) {
	if s.Size < estargzOldFooter {
		return nil, 0, untrusted("a layer of %d bytes", s.Size)
	}
	start := s.Size - estargzTail(s.Size)
	tail, err := s.readRange(ctx, start, s.Size-start)
	if err != nil {
		return nil, 0, err
	}
	at, footer, err := parseEStargzFooter(tail)
	if err != nil {
		return nil, 0, err
	}
	end := s.Size - footer
	if at >= end || end-at > maxPackedTOC {
		return nil, 0, untrusted("it is at %d of %d bytes: %w", at, s.Size, ErrFormat)
	}
	tail = tail[:len(tail)-int(footer)]
	if at >= start {
		return tail[at-start:], at, nil
	}
	head, err := s.readRange(ctx, at, start-at)
	if err != nil {
		return nil, 0, err
	}
	return append(head, tail...), at, nil
}

// A footer is an empty gzip member with the table's offset in its header's
// extra field (RFC 1952, 2.3.1.1): 10 bytes of header, the field, 5 bytes of
// deflate and 8 of checksum and size. The older form, crfs', has no header of
// a subfield. In bytes.
const (
	estargzFooter         = 10 + 2 + 4 + 22 + 5 + 8
	estargzOldFooter      = 10 + 2 + 22 + 5 + 8
	estargzExternalFooter = 10 + 2 + 4 + 17 + 5 + 8
)

// parseEStargzFooter reads the footer at the end of b: the offset of the table
// of contents, and the footer's own length.
func parseEStargzFooter(b []byte) (at, length int64, err error) {
	subfield := []byte("SG\x16\x00") // the subfield's name, and 22
	if payload, ok := footerExtra(b, estargzFooter); ok && bytes.HasPrefix(payload, subfield) {
		at, err = parseEStargzOffset(payload[len(subfield):])
		return at, estargzFooter, err
	}
	if payload, ok := footerExtra(b, estargzOldFooter); ok {
		at, err = parseEStargzOffset(payload)
		return at, estargzOldFooter, err
	}
	if payload, ok := footerExtra(b, estargzExternalFooter); ok && bytes.HasSuffix(payload, []byte("STARGZEXTERNALTOC")) {
		return 0, 0, untrusted("it isn't in the layer")
	}
	return 0, 0, untrusted("no footer of eStargz: %w", ErrFormat)
}

// footerExtra is the extra field of a footer of that length.
func footerExtra(b []byte, length int) ([]byte, bool) {
	if len(b) < length {
		return nil, false
	}
	b = b[len(b)-length:]
	extra := length - 10 - 2 - 5 - 8
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8, gzipHasExtra}) || int(binary.LittleEndian.Uint16(b[10:])) != extra {
		return nil, false
	}
	return b[12 : 12+extra], true
}

func parseEStargzOffset(payload []byte) (int64, error) {
	digits, magic := payload[:16], payload[16:]
	at, err := strconv.ParseUint(string(digits), 16, 63)
	if err != nil || string(magic) != "STARGZ" {
		return 0, untrusted("the footer %.100q: %w", payload, ErrFormat)
	}
	return int64(at), nil //nolint:gosec // 63 bits
}

// maxTOCHeaders is more than a tar has beside its only file, in bytes.
const maxTOCHeaders = 4 << 20

// unpackEStargzTOC reads the table of contents out of its member: it is the
// only file of a tar.
func unpackEStargzTOC(packed []byte) (io.Reader, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, untrusted("inflate it: %w: %w", ErrFormat, err)
	}
	// What stands before the file, headers and headers of headers, is bounded
	// as well.
	r := tar.NewReader(io.LimitReader(z, maxTOC+maxTOCHeaders))
	h, err := r.Next()
	if err != nil {
		return nil, untrusted("read it: %w: %w", ErrFormat, err)
	}
	if h.Name != stargzTOCName || h.Size > maxTOC {
		return nil, untrusted("a file %.100q of %d bytes in its place: %w", h.Name, h.Size, ErrFormat)
	}
	return r, nil
}
