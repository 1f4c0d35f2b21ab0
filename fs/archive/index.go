package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
)

// An index is the tree of a layer and the way to its contents, in one piece of
// bytes: it is read where it lies, so that loading it makes no object for an
// entry, and it is what a Store keeps. All numbers are little-endian.
//
//	header    headerSize bytes, see below
//	inodes    inodeSize bytes each; a directory stands before what is in it,
//	          and the root is the first
//	dirents   direntSize bytes each; those of one directory lie together,
//	          in the order of their names' bytes
//	extents   extentSize bytes each: of files with holes
//	spans     spanSize bytes each, without gaps in the stream
//	links     linkSize bytes each, in the order of the inodes: the names of
//	          inodes that have several, and of hard links into lower layers
//	implied   4 bytes each: the directories that no entry names, in order
//	heap      names, targets, attributes, windows
//	checksum  SHA-256 of all of the above
//
// The header:
//
//	0   8 bytes  indexMagic
//	8   u8       layout, where the stream is
//	12  u32      inodes
//	16  u32      dirents
//	20  u32      extents
//	24  u32      spans
//	28  u32      links
//	32  u32      implied
//	36  u32      heap, in bytes
//	40  u64      the stream's size
//	48  32 bytes the stream's SHA-256, where layout is layoutDerived
//
// An inode:
//
//	0   u32  mode, with its type
//	4   u32  uid
//	8   u32  gid
//	12  u32  how many names it has
//	16  u64  size
//	24  i64  time of modification, in seconds since 1970
//	32  u32  and nanoseconds
//	36  u32  a directory's first dirent; a device's major number; a file's first extent
//	40  u32  how many dirents; minor number; extents
//	44  u64  a file without holes: where it is in the stream; of a link the
//	         heap's offset of its target, and in the upper half its length;
//	         of a directory the one that holds it, and in the upper half its dirent there
//	52  u32  the heap's offset of its extended attributes
//	56  u32  their length, 0 for none
//	60  u8   inodeImplied
//
// A span:
//
//	0   u64  offset in the stream
//	8   u32  length there
//	12  u8   codec
//	13  u8   bits
//	14  u8   digestOf
//	16  u64  offset in the blob
//	24  u32  length there
//	28  u32  inflated bytes to be skipped
//	32  u32  the heap's offset of its window, deflated (RFC 1951)
//	36  u32  and its length
//	40  32 bytes SHA-256
//
// Extended attributes are, for each: u8 length of the name, u32 length of the
// value, name, value; in the order of the names' bytes.
const indexMagic = "orasfsx1"

// IndexVersion is part of the names under which indexes are kept: it changes
// with the form, and whenever the same layer would be indexed otherwise.
const IndexVersion = "1"

const (
	headerSize = 80
	inodeSize  = 64
	direntSize = 12 // u32 offset of the name, u32 inode, u16 length of the name, 2 bytes nothing
	extentSize = 24 // u64 offset in the file, u64 in the stream, u64 length
	spanSize   = 72
	linkSize   = 12 // u32 inode, u32 directory, u32 dirent
)

const inodeImplied = 1

// A layout says where the stream is.
type layout uint8

const (
	layoutPlain   layout = iota // it is the blob
	layoutSpans                 // in spans of the blob
	layoutDerived               // the blob, unpacked as a whole
)

// index is an index that has been checked: what it refers to is in it.
type index struct {
	raw     []byte
	layout  layout
	size    int64 // of the stream
	digest  []byte
	inodes  table
	dirents table
	extents table
	spans   table
	links   table
	implied table
	heap    []byte
}

// A table is records of one size.
type table struct {
	raw  []byte
	size int
}

func (t table) len() int { return len(t.raw) / t.size }

func (t table) at(i int) record { return record(t.raw[i*t.size : (i+1)*t.size]) }

type record []byte

func (r record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
func (r record) u64(at int) uint64 { return binary.LittleEndian.Uint64(r[at:]) }

// damaged is the error of an index that isn't one.
func damaged(format string, args ...any) error {
	return fmt.Errorf("index damaged: %s", fmt.Sprintf(format, args...))
}

// loadIndex reads an index as a Store gave it back.
func loadIndex(raw []byte) (*index, error) {
	if len(raw) < headerSize+sha256.Size || len(raw) > maxIndex {
		return nil, damaged("%d bytes", len(raw))
	}
	body := raw[:len(raw)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[len(body):]) {
		return nil, damaged("wrong checksum")
	}
	return parseIndex(body)
}

// parseIndex checks all that an index refers to, so that nobody has to later.
func parseIndex(body []byte) (*index, error) {
	if len(body) < headerSize || string(body[:8]) != indexMagic {
		return nil, damaged("no header")
	}
	h := record(body[:headerSize])
	x := &index{raw: body, layout: layout(h[8]), size: int64(h.u64(40)), digest: h[48:80]} //nolint:gosec // checked below
	if x.layout > layoutDerived || x.size < 0 {
		return nil, damaged("layout %d, stream of %d bytes", x.layout, x.size)
	}
	rest := body[headerSize:]
	for i, t := range []struct {
		table *table
		size  int
	}{
		{&x.inodes, inodeSize}, {&x.dirents, direntSize}, {&x.extents, extentSize},
		{&x.spans, spanSize}, {&x.links, linkSize}, {&x.implied, 4},
	} {
		n := uint64(h.u32(12+4*i)) * uint64(t.size) //nolint:gosec // a constant above 0
		if n > uint64(len(rest)) {
			return nil, damaged("table %d of %d bytes", i, n)
		}
		*t.table, rest = table{rest[:n], t.size}, rest[n:]
	}
	if uint64(h.u32(36)) != uint64(len(rest)) {
		return nil, damaged("heap of %d bytes", len(rest))
	}
	x.heap = rest
	return x, x.check()
}

func (x *index) check() error {
	if x.inodes.len() == 0 || Type(x.inodes.at(0).u32(0)&typeMask) != TypeDir {
		return damaged("no root")
	}
	for i := range x.inodes.len() {
		if err := x.checkInode(i); err != nil {
			return err
		}
	}
	for i := range x.dirents.len() {
		d := x.dirents.at(i)
		n := uint64(binary.LittleEndian.Uint16(d[8:]))
		if n == 0 || n > maxName || !x.inHeap(d.u32(0), n) || int64(d.u32(4)) >= int64(x.inodes.len()) {
			return damaged("dirent %d", i)
		}
	}
	end := int64(0)
	for i := range x.spans.len() {
		r := x.spans.at(i)
		s := x.span(i)
		if s.stream != end || s.length <= 0 || s.length > maxSpan || s.packed < 0 || s.packed > maxPacked ||
			s.blob < 0 || s.skip < 0 || s.skip > maxSpan || !x.inHeap(r.u32(32), uint64(r.u32(36))) {
			return damaged("span %d", i)
		}
		end += s.length
	}
	if x.layout == layoutSpans && end != x.size {
		return damaged("spans end at %d, the stream at %d", end, x.size)
	}
	for i := range x.links.len() {
		r := x.links.at(i)
		if int64(r.u32(0)) >= int64(x.inodes.len()) || int64(r.u32(4)) >= int64(x.inodes.len()) || x.inode(int(r.u32(4))).typ() != TypeDir ||
			int64(r.u32(8)) >= int64(x.dirents.len()) || i > 0 && x.links.at(i-1).u32(0) > r.u32(0) {
			return damaged("link %d", i)
		}
	}
	for i := range x.implied.len() {
		if n := x.implied.at(i).u32(0); int64(n) >= int64(x.inodes.len()) || x.inode(int(n)).typ() != TypeDir {
			return damaged("implied directory %d", i)
		}
	}
	return nil
}

func (x *index) checkInode(i int) error {
	n := x.inode(i)
	if !x.inHeap(n.u32(52), uint64(n.u32(56))) {
		return damaged("inode %d: attributes", i)
	}
	if _, err := n.xattrs(); err != nil {
		return damaged("inode %d: %v", i, err)
	}
	first, count := uint64(n.u32(36)), uint64(n.u32(40))
	switch n.typ() {
	case TypeDir:
		if first+count > uint64(x.dirents.len()) || i > 0 && (n.parent() >= i || x.inode(n.parent()).typ() != TypeDir || int64(n.u32(48)) >= int64(x.dirents.len())) { //nolint:gosec // lengths aren't negative
			return damaged("directory %d", i)
		}
		// Directories point forward alone, so that no way down is endless.
		for k := first; k < first+count; k++ {
			child := x.dirents.at(int(k)).u32(4) //nolint:gosec // below the table's length
			if int64(child) >= int64(x.inodes.len()) || x.inode(int(child)).typ() == TypeDir && (int(child) <= i || x.inode(int(child)).parent() != i) {
				return damaged("directory %d", i)
			}
		}
	case TypeRegular:
		size := n.size()
		if size < 0 || first+count > uint64(x.extents.len()) { //nolint:gosec // likewise
			return damaged("file %d", i)
		}
		if start := n.u64(44); count == 0 && (start > uint64(x.size) || uint64(size) > uint64(x.size)-start) { //nolint:gosec // sizes aren't negative
			return damaged("file %d of %d bytes at %d", i, size, start)
		}
		end := int64(0)
		for k := first; k < first+count; k++ {
			e := x.extent(int(k)) //nolint:gosec // below the table's length
			if e.offset < end || e.length < 0 || e.stream < 0 || e.offset > size-e.length || e.length > x.size || e.stream > x.size-e.length {
				return damaged("extent %d", k)
			}
			end = e.offset + e.length
		}
	case TypeSymlink, typeHardlink:
		if !x.inHeap(n.u32(44), uint64(n.u32(48))) {
			return damaged("link %d", i)
		}
	case TypeChar, TypeBlock, TypeFIFO:
	default:
		return damaged("inode %d has mode %o", i, n.u32(0))
	}
	return nil
}

func (x *index) inHeap(off uint32, n uint64) bool { return uint64(off)+n <= uint64(len(x.heap)) }

func (x *index) bytes(off, n uint32) []byte { return x.heap[off : off+n] }

func (x *index) extent(i int) extent {
	r := x.extents.at(i)
	return extent{int64(r.u64(0)), int64(r.u64(8)), int64(r.u64(16))} //nolint:gosec // check refuses what is negative then
}

// span is span i, its window still deflated.
func (x *index) span(i int) span {
	r := x.spans.at(i)
	s := span{
		stream: int64(r.u64(0)), length: int64(r.u32(8)), blob: int64(r.u64(16)), packed: int64(r.u32(24)), //nolint:gosec // check refuses what is negative then
		skip: int64(r.u32(28)), codec: codec(r[12]), bits: r[13], digestOf: digestOf(r[14]),
	}
	copy(s.digest[:], r[40:72])
	if x.inHeap(r.u32(32), uint64(r.u32(36))) {
		s.window = x.bytes(r.u32(32), r.u32(36))
	}
	return s
}

// spanAt is the number of the span that holds the byte of the stream at off,
// which is within the stream.
func (x *index) spanAt(off int64) int {
	return sort.Search(x.spans.len(), func(i int) bool { return int64(x.spans.at(i).u64(0)) > off }) - 1 //nolint:gosec // checked
}
