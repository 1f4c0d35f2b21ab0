// Package archive answers what files are in a layer, and in an image: it makes
// an index of a blob that is an archive, and applies the layers of an image, so
// that their tree is what a container would see.
//
// It knows neither FUSE nor the network nor where anything is kept: bytes come
// from a [Blob], and what is worth keeping goes to a [Store].
//
// # Formats
//
// There is one form in which a layer's entries and the way to their contents are
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
// verified as one. spancutter.go cuts a stream of which nobody says where to, while it
// is unpacked; package deflate does that for gzip.
//
// What has to be read of a layer for some files ahead of their use says ranges.go.
//
// # Layers applied
//
// A [Tree] is what the files are after some layers were applied one after the
// other ([Apply]), each in its archive's order, as containerd's archive.Apply and
// umoci do it. A path goes through the links that are there at that moment, inside
// the root; a link that nobody replaced stays; a directory that no entry names is
// made only where none is, with mode 0755. Anything but a directory over a
// directory takes away what was there. A whiteout's directory is made too, where nothing
// is. The directories that a layer has entries for are given their times when all of it
// is applied, by their paths: what has taken the place of one by then gets its time, or,
// where that is a link, what it leads to.
//
// Where those two disagree it is as containerd has it:
//
//   - order decides within a layer too: a whiteout takes away what came before it;
//   - an opaque marker takes away all whose paths its layer has had no entry for so
//     far, also the directories without one of what the layer has put there, and acts once
//     for a path;
//   - a hard link's entry describes the file that it is a name of;
//   - a directory over a directory adds its extended attributes.
//
// It isn't as containerd has it in these cases:
//
//   - The entry of the root describes the root. containerd leaves that to whoever
//     made the directory.
//   - What would have containerd refuse the image is left out alone, with a line in
//     the log: a hard link to nothing, a way through links in a circle, a whiteout
//     without a name or below a file. A directory that its own layer takes away is made
//     again. A file on the way of an entry makes way for a directory, as it does for
//     umoci, and where overlays are mounted.
//   - Links on the way are followed as the kernel does it in a chroot. containerd
//     takes ".." behind a link's name away without a look at the link.
//   - Times before 1970 are the archive's.
//
// test/differential compares with both.
//
// # What holds
//
// Names and link targets are bytes, as the archive has them. What a tar says in some
// odd way is as Go's archive/tar reads it, since what applies layers does
// (tarasgo_test.go). What can't be a file is left out, with a line in the log. All
// that an archive can make large is bounded, and the time that it takes to apply it:
// see [Apply].
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
