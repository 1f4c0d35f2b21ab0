package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"sort"
	"strings"
)

// An index is what there is to know of a layer: its entries in the archive's
// order, which is what applying it goes by, and the way to their contents. It is
// one piece of bytes, which a Store keeps:
//
//	header    headerSize bytes, see below
//	entries   entrySize bytes each
//	extents   extentSize bytes each: of files with holes
//	spans     spanSize bytes each, without gaps in the stream
//	heap      names, targets, attributes, windows
//	checksum  SHA-256 of all of the above
//
// The header:
//
//	0   8 bytes  indexMagic
//	8   u8       layout, where the stream is
//	12  u32      entries
//	16  u32      extents
//	20  u32      spans
//	24  u32      heap, in bytes
//	32  u64      the stream's size
//	40  32 bytes the stream's SHA-256, where layout is layoutDerived
//
// An entry:
//
//	0   u32  mode, with its type
//	4   u32  uid
//	8   u32  gid
//	12  u32  the heap's offset of its directory's path, as the archive spells it
//	16  u32  and of its name; both are clean, and the root's are empty
//	20  u16  length of the directory's path
//	22  u8   length of the name
//	24  u64  size
//	32  i64  time of modification, in seconds since 1970
//	40  u32  and nanoseconds
//	44  u32  a device's major number; a file's first extent; of a link the
//	         heap's offset of its target
//	48  u32  minor number; extents; the target's length
//	52  u64  a file without holes: where it is in the stream
//	60  u32  the heap's offset of its extended attributes
//	64  u32  their length, 0 for none
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
const indexMagic = "orasfsx2"

// IndexVersion is part of the names under which indexes are kept: it changes
// with the form, and whenever the same layer would be indexed otherwise.
const IndexVersion = "2"

const (
	headerSize = 72
	entrySize  = 68
	extentSize = 24 // u64 offset in the file, u64 in the stream, u64 length
	spanSize   = 72
)

// A layout says where the stream is.
type layout uint8

const (
	layoutPlain   layout = iota // it is the blob
	layoutSpans                 // in spans of the blob
	layoutDerived               // the blob, unpacked as a whole
)

// index is an index that has been checked: what it refers to is in it.
type index struct {
	layout  layout
	size    int64 // of the stream
	digest  string
	entries table
	extents table
	spans   table
	heap    heap

	kept bool // the Store has it

	// passing are the spans of what a pass has come by, in the place of a table.
	passing []span
}

// loadIndex reads an index as a Store gave it back.
func loadIndex(raw []byte) (*index, error) {
	body, err := withoutChecksum(raw)
	if err != nil {
		return nil, err
	}
	return parseIndex(body)
}

// withoutChecksum is what a checksum stands behind. raw isn't changed any more.
func withoutChecksum(raw []byte) (string, error) {
	if len(raw) < sha256.Size || len(raw) > maxIndex {
		return "", damaged("%d bytes", len(raw))
	}
	body := raw[:len(raw)-sha256.Size]
	if sha256.Sum256(body) != [sha256.Size]byte(raw[len(body):]) {
		return "", damaged("wrong checksum")
	}
	return frozen(body), nil
}

// parseIndex checks all that an index refers to, so that nobody has to later.
func parseIndex(body string) (*index, error) {
	if len(body) < headerSize || body[:8] != indexMagic {
		return nil, damaged("no header")
	}
	h := record(body[:headerSize])
	x := &index{
		layout: layout(h[8]), size: int64(h.u64(32)), digest: string(h[40:72]), //nolint:gosec // checked below
		entries: table{size: entrySize}, extents: table{size: extentSize}, spans: table{size: spanSize},
	}
	if x.layout > layoutDerived || x.size < 0 {
		return nil, damaged("layout %d, stream of %d bytes", x.layout, x.size)
	}
	var err error
	x.heap, err = cutTables(body[headerSize:], []uint32{h.u32(12), h.u32(16), h.u32(20), h.u32(24)}, &x.entries, &x.extents, &x.spans)
	if err != nil {
		return nil, err
	}
	return x, x.check()
}

func (x *index) check() error {
	for i := range x.entries.len() {
		if err := x.checkEntry(i); err != nil {
			return err
		}
	}
	end := int64(0)
	for i := range x.spans.len() {
		r := x.spans.at(i)
		s := x.span(i)
		if s.stream != end || s.length <= 0 || s.length > maxSpan || s.packed < 0 || s.packed > maxPacked ||
			s.blob < 0 || s.skip < 0 || s.skip > maxSpan || !x.heap.has(r.u32(32), uint64(r.u32(36))) {
			return damaged("span %d", i)
		}
		end += s.length
	}
	if x.layout == layoutSpans && end != x.size {
		return damaged("spans end at %d, the stream at %d", end, x.size)
	}
	return nil
}

func (x *index) checkEntry(i int) error {
	r := x.entries.at(i)
	if !x.heap.has(r.u32(12), uint64(r.u16(20))) || !x.heap.has(r.u32(16), uint64(r[22])) || !x.heap.has(r.u32(60), uint64(r.u32(64))) {
		return damaged("entry %d", i)
	}
	if _, err := unpackXattrs(x.heap.at(r.u32(60), r.u32(64))); err != nil {
		return damaged("entry %d: %v", i, err)
	}
	typ := Type(r.u32(0) & typeMask)
	dir, name := x.name(r)
	if name == "" && (dir != "" || typ != TypeDir) || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return damaged("entry %d is called %q", i, name)
	}
	switch typ {
	case TypeRegular:
		if !checkContent(r.u32(44), r.u32(48), r.u64(52), r.u64(24), x.extents, x.size) {
			return damaged("the content of entry %d", i)
		}
	case TypeSymlink, typeHardlink:
		if !x.heap.has(r.u32(44), uint64(r.u32(48))) {
			return damaged("the target of entry %d", i)
		}
	case TypeDir, TypeChar, TypeBlock, TypeFIFO:
	default:
		return damaged("entry %d has mode %o", i, r.u32(0))
	}
	return nil
}

// checkContent tells whether a file of so many bytes lies within a stream: in
// count extents from the first on, or, where those are none, in one piece.
func checkContent(first, count uint32, stream, size uint64, extents table, streamSize int64) bool {
	if size > 1<<62 || uint64(first)+uint64(count) > uint64(extents.len()) { //nolint:gosec // not negative
		return false
	}
	if count == 0 {
		return stream <= uint64(streamSize) && size <= uint64(streamSize)-stream //nolint:gosec // not negative
	}
	end := int64(0)
	for k := first; k < first+count; k++ {
		e := extentOf(extents.at(int(k)))
		if e.offset < end || e.length < 0 || e.stream < 0 || e.offset > int64(size)-e.length || //nolint:gosec // bounded above
			e.length > streamSize || e.stream > streamSize-e.length {
			return false
		}
		end = e.offset + e.length
	}
	return true
}

func extentOf(r record) extent {
	return extent{int64(r.u64(0)), int64(r.u64(8)), int64(r.u64(16))} //nolint:gosec // checkContent refuses what is negative then
}

// bytes is how much memory the index takes.
func (x *index) bytes() int64 {
	n := len(x.entries.raw) + len(x.extents.raw) + len(x.spans.raw) + len(x.heap)
	for _, s := range x.passing {
		n += spanSize + len(s.window)
	}
	return int64(n)
}

// name is where an entry is: the path of its directory, and its name there.
func (x *index) name(r record) (dir, name string) {
	return x.heap.at(r.u32(12), uint32(r.u16(20))), x.heap.at(r.u32(16), uint32(r[22]))
}

// target is what a link leads to.
func (x *index) target(r record) string { return x.heap.at(r.u32(44), r.u32(48)) }

// span is span i.
func (x *index) span(i int) span {
	if x.passing != nil {
		return x.passing[i]
	}
	r := x.spans.at(i)
	s := span{
		stream: int64(r.u64(0)), length: int64(r.u32(8)), blob: int64(r.u64(16)), packed: int64(r.u32(24)), //nolint:gosec // check refuses what is negative then
		skip: int64(r.u32(28)), codec: codec(r[12]), bits: r[13], digestOf: digestOf(r[14]),
	}
	copy(s.digest[:], r[40:72])
	if x.heap.has(r.u32(32), uint64(r.u32(36))) {
		s.window = x.heap.at(r.u32(32), r.u32(36))
	}
	return s
}

// spanCount is how many spans there are.
func (x *index) spanCount() int {
	if x.passing != nil {
		return len(x.passing)
	}
	return x.spans.len()
}

// spanAt is the number of the span that holds the byte of the stream at off,
// which is within the stream.
func (x *index) spanAt(off int64) int {
	begin := func(i int) int64 { return int64(x.spans.at(i).u64(0)) } //nolint:gosec // checked
	if x.passing != nil {
		begin = func(i int) int64 { return x.passing[i].stream }
	}
	return sort.Search(x.spanCount(), func(i int) bool { return begin(i) > off }) - 1
}

// withoutEntries is what reading contents needs of an index, by itself: what it
// was cut from can be freed.
func (x *index) withoutEntries() *index {
	if x.passing != nil {
		return x
	}
	var windows heapWriter
	spans := []byte(x.spans.raw)
	for i := range x.spans.len() {
		r := x.spans.at(i)
		if n := r.u32(36); n > 0 {
			binary.LittleEndian.PutUint32(spans[i*spanSize+32:], windows.put(x.heap.at(r.u32(32), n)))
		}
	}
	return &index{
		layout: x.layout, size: x.size, digest: strings.Clone(x.digest), entries: table{size: entrySize}, extents: table{size: extentSize},
		spans: table{frozen(spans), spanSize}, heap: heap(frozen(windows.bytes)),
	}
}
