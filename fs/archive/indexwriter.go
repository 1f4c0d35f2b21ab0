package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"
)

// A stream is where a layer's contents are.
type stream struct {
	layout layout
	size   int64
	digest [sha256.Size]byte // of layoutDerived
}

// An indexWriter lays out the tables of an index.
type indexWriter struct {
	inodes  []*bnode
	parents []linkName // of directories, by inode
	counts  []uint32   // of directories' entries, by inode
	end     int64      // of the stream: files beyond it are left out
	dirents []byte
	extents []byte
	spans   []byte
	implied []byte
	heap    []byte
	names   map[*bnode][]linkName
	shared  map[string]uint32 // offsets in the heap of what often occurs
}

// A linkName is a name of an inode: a dirent in a directory.
type linkName struct{ dir, dirent uint32 }

// finish makes the index of all that the builder was given.
func (b *builder) finish(at stream) ([]byte, error) {
	w := &indexWriter{names: map[*bnode][]linkName{}, shared: map[string]uint32{}, end: at.size}
	b.root.number, b.root.writer = 0, w
	w.inodes, w.parents, w.counts = []*bnode{b.root}, make([]linkName, 1), make([]uint32, 1)
	for i := 0; i < len(w.inodes); i++ {
		w.children(uint32(i)) //nolint:gosec // at most maxEntries and their directories
	}
	records, err := w.records()
	if err != nil {
		return nil, err
	}
	if err := w.addSpans(b.spans); err != nil {
		return nil, err
	}
	links := w.links()
	out := make([]byte, headerSize, headerSize+len(records)+len(w.dirents)+len(w.extents)+len(w.spans)+len(links)+len(w.implied)+len(w.heap)+sha256.Size)
	copy(out, indexMagic)
	out[8] = byte(at.layout)
	tables := [][]byte{records, w.dirents, w.extents, w.spans, links, w.implied, w.heap}
	for i, size := range []int{inodeSize, direntSize, extentSize, spanSize, linkSize, 4, 1} {
		binary.LittleEndian.PutUint32(out[12+4*i:], uint32(len(tables[i])/size)) //nolint:gosec // bounded by maxIndex below
	}
	binary.LittleEndian.PutUint64(out[40:], uint64(at.size)) //nolint:gosec // not negative
	copy(out[48:], at.digest[:])
	for _, table := range tables {
		out = append(out, table...)
	}
	if len(out)+sha256.Size > maxIndex {
		return nil, fmt.Errorf("%w: an index of %d bytes", ErrTooLarge, len(out))
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// children numbers what is in a directory and writes its dirents.
func (w *indexWriter) children(dir uint32) {
	n := w.inodes[dir]
	if n.typ != TypeDir {
		return
	}
	if n.implied {
		w.implied = binary.LittleEndian.AppendUint32(w.implied, dir)
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		child := n.children[name]
		if child.end() > w.end {
			continue
		}
		w.counts[dir]++
		link := linkName{dir, uint32(len(w.dirents) / direntSize)} //nolint:gosec // at most maxEntries and their directories
		if child.writer != w {
			child.number, child.writer = uint32(len(w.inodes)), w //nolint:gosec // at most maxEntries and their directories
			w.inodes, w.parents, w.counts = append(w.inodes, child), append(w.parents, link), append(w.counts, 0)
		}
		if child.typ != TypeDir {
			w.names[child] = append(w.names[child], link)
		}
		d := binary.LittleEndian.AppendUint32(w.dirents, w.put(name))
		d = binary.LittleEndian.AppendUint32(d, child.number)
		w.dirents = binary.LittleEndian.AppendUint32(d, uint32(len(name))) //nolint:gosec // at most maxName
	}
}

// end is where a file's content ends in the stream.
func (n *bnode) end() int64 {
	if len(n.extents) == 0 {
		return 0
	}
	last := n.extents[len(n.extents)-1]
	return last.stream + last.length
}

// put adds a string to the heap. Short ones occur often: the names of
// libraries' files, the same attributes.
func (w *indexWriter) put(s string) uint32 {
	if off, ok := w.shared[s]; ok {
		return off
	}
	off := uint32(len(w.heap)) //nolint:gosec // bounded by the builder's memory
	w.heap = append(w.heap, s...)
	if len(w.shared) < maxEntries/4 {
		w.shared[s] = off
	}
	return off
}

// records are the inodes. The first dirent of a directory is where those of the
// directories before it end.
func (w *indexWriter) records() ([]byte, error) {
	le := binary.LittleEndian
	out := make([]byte, len(w.inodes)*inodeSize)
	dirent := uint32(0)
	for i, n := range w.inodes {
		r := out[i*inodeSize : (i+1)*inodeSize]
		le.PutUint32(r[0:], uint32(n.typ)|n.mode)
		le.PutUint32(r[4:], n.uid)
		le.PutUint32(r[8:], n.gid)
		le.PutUint32(r[12:], uint32(max(1, len(w.names[n])))) //nolint:gosec // at most maxEntries
		le.PutUint64(r[24:], uint64(n.mtime.sec))             //nolint:gosec // two's complement
		le.PutUint32(r[32:], n.mtime.nsec)
		switch n.typ {
		case TypeDir:
			le.PutUint32(r[36:], dirent)
			le.PutUint32(r[40:], w.counts[i])
			le.PutUint32(r[44:], w.parents[i].dir)
			le.PutUint32(r[48:], w.parents[i].dirent)
			dirent += w.counts[i]
			if n.implied {
				r[60] |= inodeImplied
			}
		case TypeRegular:
			le.PutUint64(r[16:], uint64(n.size)) //nolint:gosec // not negative
			w.content(r, n)
		case TypeChar, TypeBlock:
			le.PutUint32(r[36:], n.major)
			le.PutUint32(r[40:], n.minor)
		case TypeSymlink, typeHardlink:
			le.PutUint64(r[16:], uint64(len(n.link)))
			le.PutUint32(r[44:], w.put(n.link))
			le.PutUint32(r[48:], uint32(len(n.link))) //nolint:gosec // at most maxPath
		}
		if attributes := packXattrs(n.xattrs); attributes != "" {
			le.PutUint32(r[52:], w.put(attributes))
			le.PutUint32(r[56:], uint32(len(attributes))) //nolint:gosec // bounded by the builder's memory
		}
	}
	if len(w.heap) > maxIndex {
		return nil, fmt.Errorf("%w: names of %d bytes", ErrTooLarge, len(w.heap))
	}
	return out, nil
}

// content writes where a file's bytes are: in the inode where they are one
// piece.
func (w *indexWriter) content(r []byte, n *bnode) {
	le := binary.LittleEndian
	switch {
	case n.size == 0:
	case len(n.extents) == 1 && n.extents[0].offset == 0 && n.extents[0].length == n.size:
		le.PutUint64(r[44:], uint64(n.extents[0].stream)) //nolint:gosec // not negative
	default:
		extents := n.extents
		if len(extents) == 0 { // a file of one hole
			extents = []extent{{}}
		}
		le.PutUint32(r[36:], uint32(len(w.extents)/extentSize)) //nolint:gosec // bounded by the builder's memory
		le.PutUint32(r[40:], uint32(len(extents)))              //nolint:gosec // likewise
		for _, e := range extents {
			for _, v := range []int64{e.offset, e.stream, e.length} {
				w.extents = le.AppendUint64(w.extents, uint64(v)) //nolint:gosec // not negative
			}
		}
	}
}

func packXattrs(list []Xattr) string {
	slices.SortStableFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	var packed []byte
	for i, x := range list {
		if i+1 < len(list) && list[i+1].Name == x.Name {
			continue // the last one wins
		}
		packed = append(packed, byte(len(x.Name)))                              //nolint:gosec // at most maxName
		packed = binary.LittleEndian.AppendUint32(packed, uint32(len(x.Value))) //nolint:gosec // at most maxXattrs
		packed = append(append(packed, x.Name...), x.Value...)
	}
	return string(packed)
}

// links are the names of inodes that have several, and of hard links that lead
// out of the layer.
func (w *indexWriter) links() []byte {
	var out []byte
	for i, n := range w.inodes {
		if names := w.names[n]; len(names) > 1 || n.typ == typeHardlink {
			for _, name := range names {
				for _, v := range []uint32{uint32(i), name.dir, name.dirent} { //nolint:gosec // at most maxEntries and their directories
					out = binary.LittleEndian.AppendUint32(out, v)
				}
			}
		}
	}
	return out
}

// addSpans writes the spans, their windows deflated.
func (w *indexWriter) addSpans(spans []span) error {
	le := binary.LittleEndian
	var packed bytes.Buffer
	deflater, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return err
	}
	for _, s := range spans {
		var window string
		if len(s.window) > 0 {
			packed.Reset()
			deflater.Reset(&packed)
			if _, err := deflater.Write(s.window); err != nil {
				return err
			}
			if err := deflater.Close(); err != nil {
				return err
			}
			window = packed.String()
		}
		r := make([]byte, spanSize)
		le.PutUint64(r[0:], uint64(s.stream)) //nolint:gosec // addSpan checks them
		le.PutUint32(r[8:], uint32(s.length)) //nolint:gosec // likewise
		r[12], r[13], r[14] = byte(s.codec), s.bits, byte(s.digestOf)
		le.PutUint64(r[16:], uint64(s.blob))   //nolint:gosec // likewise
		le.PutUint32(r[24:], uint32(s.packed)) //nolint:gosec // likewise
		le.PutUint32(r[28:], uint32(s.skip))   //nolint:gosec // likewise
		if window != "" {
			le.PutUint32(r[32:], w.put(window))
			le.PutUint32(r[36:], uint32(len(window))) //nolint:gosec // at most some more than 32 KiB
		}
		copy(r[40:], s.digest[:])
		w.spans = append(w.spans, r...)
	}
	return nil
}
