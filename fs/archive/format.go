package archive

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// A format is what a layer is, or says it is.
type format struct {
	name string
	// key tells indexes of the same blob apart that were made of different
	// tables of contents: "" for that of the tar itself.
	key    string
	beside bool // that lies beside the layer
	index  func(ctx context.Context, s *Source, b *builder) (stream, error)
}

// formats are the tables of contents that a layer claims to have. None of them
// is believed that doesn't match its digest.
func (s *Source) formats() []format {
	var list []format
	if isZstdChunked(s) {
		list = append(list, format{"zstd:chunked", s.annotationKey(), false, inSpans(zstdChunkedIndex)})
	}
	if isEStargz(s) {
		list = append(list, format{"eStargz", s.annotationKey(), false, inSpans(estargzIndex)})
	}
	if s.ZTOC != nil {
		list = append(list, format{"SOCI", digest.FromBytes(s.ZTOC).Encoded()[:keyDigits], true,
			inSpans(func(_ context.Context, s *Source, b *builder) error { return sociIndex(s, b) })})
	}
	return list
}

const keyDigits = 16

var tocAnnotations = []string{
	stargzTOCDigest, containersPosition, containersChecksum, chunkedPosition, chunkedChecksum,
}

// annotationKey is of the annotations that say where the table of contents is,
// and what its digest is.
func (s *Source) annotationKey() string {
	sum := digest.SHA256.Digester()
	for _, name := range tocAnnotations {
		_, _ = fmt.Fprintf(sum.Hash(), "%q", s.Annotations[name]) // a hash never fails
	}
	return sum.Digest().Encoded()[:keyDigits]
}

// TOCKey tells sources apart that may be indexed differently: it is the blob's
// digest, and what is said of its table of contents.
func (s *Source) TOCKey() string { return s.Digest.String() + "-" + s.annotationKey() }

// inSpans is for a format whose stream is all in spans.
func inSpans(index func(ctx context.Context, s *Source, b *builder) error) func(context.Context, *Source, *builder) (stream, error) {
	return func(ctx context.Context, s *Source, b *builder) (stream, error) {
		if err := index(ctx, s, b); err != nil {
			return stream{}, err
		}
		at := stream{layout: layoutSpans}
		if n := len(b.spans); n > 0 {
			at.size = b.spans[n-1].stream + b.spans[n-1].length
		}
		return at, nil
	}
}

// OwnTable tells whether the layer says that it has a table of contents in it, so
// that it needs none from outside.
func (s *Source) OwnTable() bool { return isZstdChunked(s) || isEStargz(s) }

// Table is what of the layer is read first of all for its own table of contents, as its
// annotations say; false is that they say of none.
func (s *Source) Table() (Range, bool) {
	switch {
	case isEStargz(s):
		n := estargzTail(s.Size)
		return Range{s.Size - n, n}, true
	case isZstdChunked(s):
		position, _ := chunkedPositionOf(s)
		at, packed, _, err := parseChunkedPosition(position, s.Size)
		return Range{at, packed}, err == nil
	}
	return Range{}, false
}

// detect tells a format by how its bytes begin: media types and names mislead.
func detect(ctx context.Context, s *Source) (format, error) {
	head := make([]byte, min(s.Size, tarBlock))
	if n, err := s.Blob.ReadAt(ctx, head, 0); n < len(head) {
		return format{}, err
	}
	name := sniff(head)
	switch name {
	case "gzip":
		return format{name: name, index: gzipIndex}, nil
	case "zstd":
		return format{name: name, index: zstdIndex}, nil
	case "tar":
		return format{name: name, index: tarIndex}, nil
	}
	return format{}, fmt.Errorf("%w: neither a tar nor one in gzip or zstd", ErrFormat)
}

// sniff tells the format of a blob by its first bytes, tarBlock of them if there
// are as many; "" is none.
func sniff(head []byte) string {
	switch {
	case len(head) >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8:
		return "gzip"
	case len(head) >= 4 && isZstdMagic(binary.LittleEndian.Uint32(head)):
		return "zstd"
	case len(head) == tarBlock && (isZero(head) || tarHeader(head).check() == nil), len(head) == 0:
		return "tar"
	}
	return ""
}

func isZstdMagic(magic uint32) bool {
	return magic == zstdMagic || magic&skippableMask == skippableMagic
}

// IsArchive tells whether a blob begins as an archive does.
func IsArchive(ctx context.Context, blob Blob, size int64) (bool, error) {
	head := make([]byte, min(size, tarBlock))
	if n, err := blob.ReadAt(ctx, head, 0); n < len(head) {
		return false, err
	}
	return len(head) > 0 && sniff(head) != "", nil
}
