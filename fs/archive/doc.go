// Package archive answers what files are in a layer, and in an image: it makes
// a tree of entries of a blob that is an archive, and merges the trees of an
// image's layers as a container would see them.
//
// It knows neither FUSE nor the network nor where anything is kept: bytes come
// from a [Blob], and what is worth keeping goes to a [Store].
//
// # Formats
//
// There is one form in which a layer's tree and the way to its contents are
// held, the index (index.go), and one reader of it ([Layer]). Each format is a
// way to make an index, in the file of its name:
//
//	tar.go           headers are found by skipping over contents
//	gzip.go          one pass through all of it, with inflate checkpoints
//	zstd.go          likewise; its frames, where they are small, are spans
//	estargz.go       from its table of contents
//	zstdchunked.go   likewise, in three dialects
//	soci.go          from a table of contents that lies beside the layer
//
// Contents are addressed by their offset in a stream: the bytes of the tar, or,
// for formats that hold each file by itself, the concatenation of those.
// A span (span.go) is a part of the stream that is fetched, inflated and
// verified as one.
//
// # What holds
//
// Names and link targets are bytes, as the archive has them. What an archive
// says twice the last one wins, and what a tar says in some odd way is as Go's
// archive/tar reads it, since what applies layers does (tarasgo_test.go); what
// can't be a file is left out, with a line in the log. All that an archive can
// make large is bounded.
//
// A span's bytes are given out only if they have the span's digest; those that
// haven't, or can't be unpacked, are fetched once more ([CheckedBlob]). A layer
// that brings a table of contents which can't be used is verified as a whole
// before anything of it is given out.
//
// A plain tar has no digests of parts: there the blob vouches for its bytes, as
// for any part of a blob. So it does for what is looked at while a pass goes on
// (passed.go); where that fails, nothing of it is given out any more (passing.go).
package archive
