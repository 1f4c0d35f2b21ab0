package archive

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A treeWriter lays out the tables of a tree.
type treeWriter struct {
	*applier
	order   []uint32          // inodes of the applier, by their numbers in the tree
	numbers map[uint32]uint32 // and the other way, of those with several names
	places  []treePlace       // by number
	counts  []uint32          // of directories' entries, by number
	partial bool              // a layer is known in part
	from    uint32            // the number of that layer
	dirents []byte
	extents []byte
	heap    heapWriter
}

// A treePlace is a directory, by its number, and a dirent in it.
type treePlace struct{ dir, dirent uint32 }

// tree is the tree of all that was applied.
func (a *applier) tree() (*Tree, error) {
	w := &treeWriter{applier: a, order: []uint32{0}, numbers: map[uint32]uint32{}, places: make([]treePlace, 1), counts: make([]uint32, 1)}
	first := slices.IndexFunc(a.layers, func(l *Layer) bool { return l.partial })
	w.partial, w.from = first >= 0 || a.how.Below, uint32(max(first, 0)) //nolint:gosec // not negative
	for i := 0; i < len(w.order); i++ {
		if i%(1<<10) == 0 && a.ctx.Err() != nil {
			return nil, a.ctx.Err()
		}
		w.children(uint32(i)) //nolint:gosec // as many as there are inodes
	}
	out := make([]byte, treeHeaderSize)
	copy(out, treeMagic)
	le := binary.LittleEndian
	tables := [][]byte{w.identities(), w.records(), w.dirents, w.extents, nil}
	tables[4] = w.heap.bytes // complete by now
	size := len(out)
	for i, length := range []int{8, inodeSize, direntSize, extentSize, 1} {
		le.PutUint32(out[8+4*i:], uint32(len(tables[i])/length)) //nolint:gosec // bounded by maxIndex below
		size += len(tables[i])
	}
	if size > maxIndex {
		return nil, fmt.Errorf("%w: a tree of %d bytes", ErrTooLarge, size)
	}
	out = slices.Grow(out, size)
	for _, table := range tables {
		out = append(out, table...)
	}
	t, err := parseTree(frozen(out))
	if err != nil {
		return nil, err
	}
	t.unsure = a.unsure
	t.partial = w.partial
	return t, nil
}

// identities are the layers'.
func (w *treeWriter) identities() []byte {
	var out []byte
	for _, l := range w.layers {
		out = binary.LittleEndian.AppendUint32(out, w.heap.put(l.identity))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(l.identity))) //nolint:gosec // a digest and some more
	}
	return out
}

// children numbers what is in a directory and writes its dirents.
func (w *treeWriter) children(dir uint32) {
	n := &w.inodes[w.order[dir]]
	if !n.dir {
		return
	}
	var list []uint32
	for at := n.first; at != 0; at = w.dents[at].next {
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b uint32) int { return strings.Compare(w.dents[a].name, w.dents[b].name) })
	for _, at := range list {
		d := w.dents[at]
		w.counts[dir]++
		number, known := w.numbers[d.inode]
		if !known {
			number = uint32(len(w.order)) //nolint:gosec // as many as there are inodes
			w.order, w.counts = append(w.order, d.inode), append(w.counts, 0)
			w.places = append(w.places, treePlace{dir, uint32(len(w.dirents) / direntSize)}) //nolint:gosec // likewise
			if w.inodes[d.inode].names > 1 {
				w.numbers[d.inode] = number
			}
		}
		var r [direntSize]byte
		binary.LittleEndian.PutUint32(r[0:], w.heap.put(d.name))
		binary.LittleEndian.PutUint32(r[4:], number)
		r[8] = byte(len(d.name)) //nolint:gosec // at most maxName
		if w.partial && d.unpacked > w.from {
			r[9] = direntSure // that layer, or one above it, has an entry here
		}
		w.dirents = append(w.dirents, r[:]...)
	}
}

// records are the inodes. The first dirent of a directory is where those of the
// directories before it end.
func (w *treeWriter) records() []byte {
	le := binary.LittleEndian
	out := make([]byte, len(w.order)*inodeSize)
	dirent := uint32(0)
	for i, at := range w.order {
		r, n := out[i*inodeSize:(i+1)*inodeSize], &w.inodes[at]
		w.attributes(r, n)
		xattrs := w.xattrsIn(at)
		if typ := Type(le.Uint32(r) & typeMask); typ != TypeDir && typ != TypeRegular {
			xattrs = withoutUser(xattrs)
		}
		if xattrs != "" {
			le.PutUint32(r[52:], w.heap.put(xattrs))
			le.PutUint32(r[56:], uint32(len(xattrs))) //nolint:gosec // bounded by the index it is of
		}
		le.PutUint32(r[12:], max(1, n.names))
		le.PutUint32(r[60:], w.places[i].dir)
		le.PutUint32(r[64:], w.places[i].dirent)
		le.PutUint32(r[68:], n.content.layer)
		le.PutUint32(r[72:], n.content.entry)
		if n.dir {
			le.PutUint32(r[12:], 1)
			le.PutUint32(r[36:], dirent)
			le.PutUint32(r[40:], w.counts[i])
			dirent += w.counts[i]
		} else {
			w.content(r, n)
		}
		if n.shared || n.names != n.given || n.attr.layer != n.content.layer || n.time != n.attr {
			r[76] |= inodeOwn
		}
	}
	return out
}

// attributes writes what an inode's last entry says of it.
func (w *treeWriter) attributes(r []byte, n *anode) {
	le := binary.LittleEndian
	if n.time.layer != noLayer {
		e := w.entryOf(n.time)
		le.PutUint64(r[24:], e.u64(32))
		le.PutUint32(r[32:], e.u32(40))
	}
	if n.attr.layer == noLayer {
		le.PutUint32(r[0:], uint32(TypeDir)|0o755)
		return
	}
	e := w.entryOf(n.attr)
	mode := uint32(TypeDir) | e.u32(0)&modeMask
	if !n.dir {
		typ := w.entryOf(n.content).u32(0) & typeMask
		mode = typ | e.u32(0)&modeMask
		if Type(typ) == TypeSymlink {
			mode = typ | 0o777 // Linux knows no other
		}
	}
	le.PutUint32(r[0:], mode)
	le.PutUint32(r[4:], e.u32(4))
	le.PutUint32(r[8:], e.u32(8))
}

func (w *treeWriter) entryOf(of ref) record {
	return w.indexes[of.layer].entries.at(int(of.entry))
}

// content writes what an inode's entry holds.
func (w *treeWriter) content(r []byte, n *anode) {
	le := binary.LittleEndian
	x := w.indexes[n.content.layer]
	e := x.entries.at(int(n.content.entry))
	le.PutUint64(r[16:], e.u64(24))
	switch Type(e.u32(0) & typeMask) {
	case TypeSymlink:
		le.PutUint32(r[36:], w.heap.put(x.target(e)))
		le.PutUint32(r[40:], e.u32(48))
	case TypeChar, TypeBlock:
		le.PutUint32(r[36:], e.u32(44))
		le.PutUint32(r[40:], e.u32(48))
	case TypeRegular:
		le.PutUint64(r[44:], e.u64(52))
		if count := e.u32(48); count > 0 {
			first := e.u32(44)
			le.PutUint32(r[36:], uint32(len(w.extents)/extentSize)) //nolint:gosec // bounded by maxIndex
			le.PutUint32(r[40:], count)
			w.extents = append(w.extents, x.extents.raw[int(first)*extentSize:int(first+count)*extentSize]...)
		}
	}
}
