package archive

import "crypto/sha256"

// A span is a part of the stream that is fetched, inflated and verified as
// one.
type span struct {
	stream   int64 // offset of its first byte in the stream
	length   int64 // bytes in the stream, at most maxSpan
	blob     int64 // offset in the blob where its compressed bytes begin
	packed   int64 // compressed bytes, at most maxPacked
	codec    codec
	bits     uint8  // deflate: bits of the first byte that belong to what is before
	skip     int64  // inflated bytes before the span's own; at most maxSpan
	window   string // deflate: up to 32 KiB of the stream before the span, packed
	digestOf digestOf
	digest   [sha256.Size]byte
}

// cost is how much memory unpacking the span takes, in bytes.
func (sp span) cost() int64 {
	n := sp.packed + sp.skip + sp.length
	if sp.skip > 0 {
		n += sp.length // a copy without what is before it
	}
	return n
}

// Bounds of a span, in bytes. It is held in memory whole. Writers of tables of
// contents make chunks of 4 MiB at most; soci's spans are 4 MiB compressed.
const (
	maxSpan   = 32 << 20
	maxPacked = maxSpan + maxSpan/64
)

// A codec is how a span's bytes are compressed.
type codec uint8

const (
	codecStored  codec = iota // as they are
	codecDeflate              // RFC 1951 from a checkpoint, on into further gzip members
	codecGzip                 // gzip members
	codecZstd                 // zstd frames
	codecZero                 // zeros, which nobody stores
)

// A digestOf says of which bytes a span's digest is.
type digestOf uint8

const (
	digestOfNothing  digestOf = iota // zeros only
	digestOfInflated                 // of the span's bytes
	digestOfPacked                   // of its compressed bytes
)
