package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strconv"
	"strings"
)

// The annotations of zstd:chunked, in three dialects: those of containers
// (podman, buildah) since 1.41, those before, and stargz', which has the second
// names and its own toc.digest. The position is that of the table of contents;
// the checksum is of the table as it is in the layer, compressed.
const (
	containersPosition = "io.github.containers.zstd-chunked.manifest-position"
	containersChecksum = "io.github.containers.zstd-chunked.manifest-checksum"
	chunkedPosition    = "io.containers.zstd-chunked.manifest-position"
	chunkedChecksum    = "io.containers.zstd-chunked.manifest-checksum"
)

// isZstdChunked tells whether a layer claims to be zstd:chunked.
func isZstdChunked(s *Source) bool {
	return s.Annotations[containersPosition] != "" || s.Annotations[chunkedPosition] != ""
}

// chunkedPositionOf is where the table of contents is, and its checksum, as the
// annotations have them.
func chunkedPositionOf(s *Source) (position, checksum string) {
	if position = s.Annotations[containersPosition]; position != "" {
		return position, s.Annotations[containersChecksum]
	}
	return s.Annotations[chunkedPosition], s.Annotations[chunkedChecksum]
}

// skippableHeader is the length of a skippable frame's magic number and size
// (RFC 8878, 3.1.2), which stand before the table of contents. There the last
// chunk ends.
const skippableHeader = 8

// zstdChunkedIndex indexes a zstd:chunked layer. It reads the table of contents
// alone: the layer's footer says less than the annotations, which have a
// digest.
func zstdChunkedIndex(ctx context.Context, s *Source, b *builder) error {
	position, checksum := chunkedPositionOf(s)
	stargz := s.Annotations[stargzTOCDigest] != ""
	if stargz && s.Annotations[containersPosition] != "" {
		// Two tables, and readers that trust the one or the other would see
		// different files. containers/storage refuses such layers as well.
		return untrusted("zstd:chunked and eStargz at once")
	}
	want, ok := parseSHA256(checksum)
	if !ok {
		return untrusted("zstd:chunked without a digest of it")
	}
	at, packedSize, size, err := parseChunkedPosition(position, s.Size)
	if err != nil {
		return err
	}
	packed, err := s.readRange(ctx, at, packedSize)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(packed); got != want {
		return untrusted("it is sha256:%x instead of sha256:%x: %w", got, want, ErrDigest)
	}
	z := newZstdReader(ctx, bytes.NewReader(packed))
	defer z.free()
	b.urgent = func() bool { return z.held > 0 }
	if stargz {
		b.hide = stargzNames
	}
	t := tocReader{b: b, codec: codecZstd, limit: at - skippableHeader}
	return t.read(io.LimitReader(z, size))
}

// parseChunkedPosition reads "offset:compressed:uncompressed:type" of the table
// of contents in a layer of that size. The only type is 1, the table of eStargz
// in JSON.
func parseChunkedPosition(position string, layer int64) (at, packed, size int64, err error) {
	fields := strings.Split(position, ":")
	if len(fields) != 4 || fields[3] != "1" {
		return 0, 0, 0, untrusted("the position %.100q", position)
	}
	for i, to := range []*int64{&at, &packed, &size} {
		n, err := strconv.ParseUint(fields[i], 10, 63)
		if err != nil {
			return 0, 0, 0, untrusted("the position %.100q", position)
		}
		*to = int64(n) //nolint:gosec // 63 bits
	}
	if at < skippableHeader || at > layer || packed == 0 || packed > layer-at {
		return 0, 0, 0, untrusted("the position %.100q in a layer of %d bytes", position, layer)
	}
	if packed > maxPackedTOC || size > maxTOC {
		return 0, 0, 0, untrusted("%d bytes of it, %d unpacked, are too many", packed, size)
	}
	return at, packed, size, nil
}
