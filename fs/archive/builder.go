package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Bounds of an archive.
const (
	maxEntries = 1 << 20
	maxIndex   = 256 << 20 // bytes of an index, and of a tree
	maxDepth   = 1024      // directories within each other
)

// A builder makes the index of a layer of its entries and spans, in the order in
// which the archive has them.
type builder struct {
	skip func(error) // is told what is left out
	most int64       // bytes of the index

	seen    int // entries, with those that were left out
	entries []byte
	extents []byte
	heap    heapWriter
	dir     string  // of the last entry
	dirAt   uint32  // and where it is in the heap
	ends    []int64 // of the entries' contents in the stream
	spans   []span
	windows int64 // their bytes

	share share
	// urgent, if not nil, tells that what the index takes isn't waited for.
	urgent func() bool
	passed bool // by a pass, which asks for its memory

	// hide are names at the root that belong to the format and not to the tree.
	hide map[string]bool
	// added, if not nil, is called after each entry, with how much of the stream was looked
	// through for entries.
	added func(upTo int64)
}

func newBuilder(skip func(error)) *builder { return &builder{skip: skip, most: maxIndex} }

// add takes the next entry. What can't be a file is left out; an error is that
// the archive is beyond the bounds.
func (b *builder) add(e entry) error {
	b.seen++
	if b.seen > maxEntries || b.size() > b.most {
		return fmt.Errorf("%w: more than %d entries, or an index of more than %d MiB", ErrTooLarge, maxEntries, b.most>>20)
	}
	err := b.put(e)
	if errors.Is(err, errSkipped) {
		b.skip(err)
		err = nil
	}
	if err != nil {
		return err
	}
	return b.hold()
}

// hold asks for the memory that the builder takes, or has the pass do so.
func (b *builder) hold() error {
	n := b.memory()
	b.share.index.Store(n)
	if b.passed {
		return nil
	}
	return b.share.upTo(n, b.urgent == nil || !b.urgent())
}

// memory is how many bytes the builder takes until it has finished, about: the
// index twice, with what its tables have to grow, and what finds strings in the heap.
func (b *builder) memory() int64 {
	return b.size()*9/4 + int64(len(b.ends))*8 + int64(len(b.heap.shared))*sharedCost + int64(len(b.spans))*spanCost
}

// spanCost is what a span takes beside its record, in bytes.
const spanCost = 160

// size is how many bytes the index takes, about.
func (b *builder) size() int64 {
	return int64(len(b.entries)+len(b.extents)+len(b.heap.bytes)) + int64(len(b.spans))*spanSize + b.windows
}

func (b *builder) put(e entry) error {
	at, err := cleanPath(e.name)
	if err != nil {
		return err
	}
	if err := check(&e); err != nil {
		return err
	}
	if at == "" && e.typ != TypeDir {
		return nil // the root is nothing else
	}
	if e.typ == typeHardlink {
		if e.link, err = cleanPath(e.link); err != nil {
			return err
		}
		if e.link == "" {
			return skipped(e.name, "a hard link to the root")
		}
	}
	if b.hide[at] {
		return nil
	}
	dir, name := cutLast(at)
	// Long strings aren't looked for in the heap, but that of a directory stands there
	// once for all of its entries that follow each other.
	if dir != b.dir {
		b.dir, b.dirAt = dir, b.heap.put(dir)
	}
	b.record(&e, name)
	return nil
}

// record writes the record of an entry in the last directory.
func (b *builder) record(e *entry, name string) {
	le := binary.LittleEndian
	var r [entrySize]byte
	le.PutUint32(r[0:], uint32(e.typ)|e.mode)
	le.PutUint32(r[4:], e.uid)
	le.PutUint32(r[8:], e.gid)
	le.PutUint32(r[12:], b.dirAt)
	le.PutUint32(r[16:], b.heap.put(name))
	le.PutUint16(r[20:], uint16(len(b.dir)))  //nolint:gosec // at most maxPath
	r[22] = byte(len(name))                   //nolint:gosec // at most maxName
	le.PutUint64(r[32:], uint64(e.mtime.sec)) //nolint:gosec // two's complement
	le.PutUint32(r[40:], e.mtime.nsec)
	end := int64(0)
	switch e.typ {
	case TypeRegular:
		le.PutUint64(r[24:], uint64(e.size)) //nolint:gosec // not negative
		end = b.content(&r, e)
	case TypeChar, TypeBlock:
		le.PutUint32(r[44:], e.major)
		le.PutUint32(r[48:], e.minor)
	case TypeSymlink, typeHardlink:
		le.PutUint64(r[24:], uint64(len(e.link)))
		le.PutUint32(r[44:], b.heap.put(e.link))
		le.PutUint32(r[48:], uint32(len(e.link))) //nolint:gosec // at most maxPath
	}
	if packed := packXattrs(e.xattrs); packed != "" {
		le.PutUint32(r[60:], b.heap.put(packed))
		le.PutUint32(r[64:], uint32(len(packed))) //nolint:gosec // bounded by maxIndex
	}
	b.entries = append(b.entries, r[:]...)
	b.ends = append(b.ends, end)
}

// content writes where a file's bytes are, in its record where they are one
// piece, and returns where they end in the stream.
func (b *builder) content(r *[entrySize]byte, e *entry) (end int64) {
	le := binary.LittleEndian
	extents := e.extents
	if n := len(extents); n > 0 {
		end = extents[n-1].stream + extents[n-1].length
	}
	switch {
	case e.size == 0:
		return 0
	case len(extents) == 1 && extents[0].offset == 0 && extents[0].length == e.size:
		le.PutUint64(r[52:], uint64(extents[0].stream)) //nolint:gosec // not negative
		return end
	case len(extents) == 0: // a file of one hole
		extents = []extent{{}}
	}
	le.PutUint32(r[44:], uint32(len(b.extents)/extentSize)) //nolint:gosec // bounded by maxIndex
	le.PutUint32(r[48:], uint32(len(extents)))              //nolint:gosec // likewise
	for _, e := range extents {
		for _, v := range []int64{e.offset, e.stream, e.length} {
			b.extents = le.AppendUint64(b.extents, uint64(v)) //nolint:gosec // not negative
		}
	}
	return end
}

// check refuses what can't be a file on Linux, and leaves out what can't be an
// extended attribute.
func check(e *entry) error {
	e.mode &= modeMask
	switch e.typ {
	case TypeDir, TypeFIFO, TypeChar, TypeBlock, TypeRegular, typeHardlink:
	case TypeSymlink:
		if e.link == "" || len(e.link) > maxTarget || strings.ContainsRune(e.link, 0) {
			return skipped(e.name, "a symbolic link to %d bytes", len(e.link))
		}
	default:
		return skipped(e.name, "of an unknown type")
	}
	kept := e.xattrs[:0]
	for _, x := range e.xattrs {
		if x.Name != "" && len(x.Name) <= maxName && len(x.Value) <= maxXattrs && !strings.ContainsRune(x.Name, 0) {
			kept = append(kept, x)
		}
	}
	e.xattrs = kept
	return nil
}

// cleanPath is an entry's path below the archive's root, where it is absolute or
// leads out of it as well. "" is the root itself.
func cleanPath(name string) (string, error) {
	if len(name) > maxPath {
		return "", skipped(name, "a path of %d bytes", len(name))
	}
	clean := path.Clean("/" + name)[1:]
	depth := 0
	for element := range strings.SplitSeq(clean, "/") {
		if len(element) > maxName {
			return "", skipped(name, "an element of %d bytes", len(element))
		}
		if depth++; depth > maxDepth {
			return "", skipped(name, "more than %d directories", maxDepth)
		}
	}
	if strings.ContainsRune(clean, 0) {
		return "", skipped(name, "a NUL in it")
	}
	return clean, nil
}

// addSpan takes the next span of the stream.
func (b *builder) addSpan(s span) error {
	if s.length <= 0 || s.length > maxSpan || s.packed < 0 || s.packed > maxPacked || s.skip < 0 || s.skip > maxSpan {
		return fmt.Errorf("%w: a span of %d bytes in %d", ErrFormat, s.length, s.packed)
	}
	if n := len(b.spans); n > 0 && s.stream != b.spans[n-1].stream+b.spans[n-1].length || n == 0 && s.stream != 0 {
		return fmt.Errorf("%w: a span at %d isn't next", ErrFormat, s.stream)
	}
	b.windows += int64(len(s.window))
	if b.spans = append(b.spans, s); b.size() > b.most {
		return fmt.Errorf("%w: its spans take too much", ErrTooLarge)
	}
	return b.hold()
}

// soFar is the index of the entries that came first, up to the first whose
// content ends after the given spans do, and how many those are: not less than before,
// which is how many they were for the spans before. It is what the builder has, and no
// copy: all of that only grows at its end.
func (b *builder) soFar(spans []span, before int) (x *index, n int) {
	last := spans[len(spans)-1]
	end := last.stream + last.length
	for n = before; n < len(b.ends) && b.ends[n] <= end; {
		n++
	}
	return &index{
		layout: layoutSpans, size: end, entries: table{frozen(b.entries[:n*entrySize]), entrySize},
		extents: table{frozen(b.extents), extentSize}, heap: heap(frozen(b.heap.bytes)), passing: spans,
	}, n
}

// A stream is where a layer's contents are.
type stream struct {
	layout layout
	size   int64
	digest [sha256.Size]byte // of layoutDerived
}

// finish makes the index of all that the builder was given.
func (b *builder) finish(at stream) ([]byte, error) {
	out := make([]byte, headerSize, headerSize+int(b.size())+sha256.Size)
	le := binary.LittleEndian
	copy(out, indexMagic)
	out[8] = byte(at.layout)
	counts := []int{len(b.entries) / entrySize, len(b.extents) / extentSize, len(b.spans), len(b.heap.bytes) + int(b.windows)}
	for i, n := range counts {
		le.PutUint32(out[12+4*i:], uint32(n)) //nolint:gosec // bounded by maxIndex
	}
	le.PutUint64(out[32:], uint64(at.size)) //nolint:gosec // not negative
	copy(out[40:], at.digest[:])
	out = b.appendSpans(append(append(out, b.entries...), b.extents...))
	out = append(out, b.heap.bytes...)
	for _, s := range b.spans {
		out = append(out, s.window...)
	}
	return withChecksum(out)
}

// withChecksum is what a Store keeps of body.
func withChecksum(body []byte) ([]byte, error) {
	if len(body)+sha256.Size > maxIndex {
		return nil, fmt.Errorf("%w: an index of %d bytes", ErrTooLarge, len(body))
	}
	sum := sha256.Sum256(body)
	return append(body, sum[:]...), nil
}

// appendSpans writes the spans. Their windows follow what is in the heap.
func (b *builder) appendSpans(out []byte) []byte {
	le := binary.LittleEndian
	window := len(b.heap.bytes)
	for _, s := range b.spans {
		var r [spanSize]byte
		le.PutUint64(r[0:], uint64(s.stream)) //nolint:gosec // addSpan checks them
		le.PutUint32(r[8:], uint32(s.length)) //nolint:gosec // likewise
		r[12], r[13], r[14] = byte(s.codec), s.bits, byte(s.digestOf)
		le.PutUint64(r[16:], uint64(s.blob))        //nolint:gosec // likewise
		le.PutUint32(r[24:], uint32(s.packed))      //nolint:gosec // likewise
		le.PutUint32(r[28:], uint32(s.skip))        //nolint:gosec // likewise
		le.PutUint32(r[32:], uint32(window))        //nolint:gosec // bounded by maxIndex
		le.PutUint32(r[36:], uint32(len(s.window))) //nolint:gosec // at most some more than 32 KiB
		copy(r[40:], s.digest[:])
		out = append(out, r[:]...)
		window += len(s.window)
	}
	return out
}
