// Package deflate inflates deflate streams (RFC 1951), and tells between which bits
// of them inflating can begin anew.
//
// It knows neither gzip nor what is inflated. It is a package of its own because a
// layer's first pass is little else, and an ordinary reader of such streams copies
// everything twice and doesn't say to the bit where its blocks are:
//
//   - Bytes are inflated in place, into the buffer that whoever wants them keeps.
//     What was inflated before them has to stand there as well, since a stream refers
//     to up to [Window] bytes of it.
//   - [Decoder.Inflate] returns at the end of each block, and then
//     [Decoder.Position] is where the next one begins, to the bit.
//
// The input ([Input]) is read ahead of that, and can be read on where a stream ends.
//
//	input.go    what is read, and how far
//	decoder.go  a stream, block by block
//	blocks.go   the headers of blocks
//	symbols.go  the inside of a compressed block, where the time goes
//	table.go    the tables that it looks codes up in
package deflate
