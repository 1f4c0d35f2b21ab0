package archive

import (
	"slices"
	"strings"
)

// A Tree is the files of some layers, each applied to those below it, or of one
// layer by itself (apply.go). It is one piece of bytes, which a Store keeps:
//
//	header    treeHeaderSize bytes, see below
//	layers    8 bytes each: the heap's offset of its identity, and its length
//	inodes    inodeSize bytes each; a directory stands before what is in it,
//	          and the root is the first
//	dirents   direntSize bytes each; those of one directory lie together,
//	          in the order of their names' bytes
//	extents   extentSize bytes each: of files with holes
//	heap      names, targets, attributes
//	checksum  SHA-256 of all of the above
//
// The header:
//
//	0   8 bytes  treeMagic
//	8   u32      layers
//	12  u32      inodes
//	16  u32      dirents
//	20  u32      extents
//	24  u32      heap, in bytes
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
//	36  u32  a directory's first dirent; a device's major number; a file's
//	         first extent; of a link the heap's offset of its target
//	40  u32  how many dirents; minor number; extents; the target's length
//	44  u64  a file without holes: where it is in its layer's stream
//	52  u32  the heap's offset of its extended attributes
//	56  u32  their length, 0 for none
//	60  u32  a directory that holds it
//	64  u32  and the dirent there
//	68  u32  the number of its layer; noLayer is a directory that no entry names
//	72  u32  and of its entry there
//	76  u8   inodeOwn
//
// A Tree is safe for concurrent use.
type Tree struct {
	raw     string
	layers  table
	inodes  table
	dirents table
	extents table
	heap    heap

	partial bool // a layer is known in part
	unsure  bool // so that no file of it is sure
}

const (
	treeMagic      = "orasfst1"
	treeHeaderSize = 28
	inodeSize      = 80
	direntSize     = 12 // u32 offset of the name, u32 inode, u8 length of the name, u8 direntSure, 2 bytes nothing

	noLayer = 1<<32 - 1

	inodeOwn = 1

	direntSure = 1 // see Tree.Sure
)

// TreeVersion is part of the names under which trees are kept: it changes with
// the form, and whenever the same layers would be applied otherwise.
const TreeVersion = "2"

// LoadTree reads a tree as Bytes gave it.
func LoadTree(raw []byte) (*Tree, error) {
	body, err := withoutChecksum(raw)
	if err != nil {
		return nil, err
	}
	return parseTree(body)
}

// Bytes is the tree in the form in which it is kept.
func (t *Tree) Bytes() ([]byte, error) { return withChecksum([]byte(t.raw)) }

// Layers are the identities of the layers that were applied, the lowest first
// (see Layer.Identity).
func (t *Tree) Layers() []string {
	list := make([]string, t.layers.len())
	for i := range list {
		l := t.layers.at(i)
		list[i] = strings.Clone(t.heap.at(l.u32(0), l.u32(4))) // whoever holds one needn't hold the tree
	}
	return list
}

// Size is how much memory the tree takes, in bytes.
func (t *Tree) Size() int64 { return int64(len(t.raw)) }

// parseTree checks all that a tree refers to, so that nobody has to later.
func parseTree(body string) (*Tree, error) {
	if len(body) < treeHeaderSize || body[:8] != treeMagic {
		return nil, damaged("no header")
	}
	h := record(body[:treeHeaderSize])
	t := &Tree{
		raw: body, layers: table{size: 8},
		inodes: table{size: inodeSize}, dirents: table{size: direntSize}, extents: table{size: extentSize},
	}
	var err error
	t.heap, err = cutTables(body[treeHeaderSize:], []uint32{h.u32(8), h.u32(12), h.u32(16), h.u32(20), h.u32(24)}, &t.layers, &t.inodes, &t.dirents, &t.extents)
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

func (t *Tree) check() error {
	if t.inodes.len() == 0 || t.inode(0).typ() != TypeDir {
		return damaged("no root")
	}
	for i := range t.layers.len() {
		if l := t.layers.at(i); !t.heap.has(l.u32(0), uint64(l.u32(4))) {
			return damaged("layer %d", i)
		}
	}
	for i := range t.dirents.len() {
		d := t.dirents.at(i)
		if d[8] == 0 || !t.heap.has(d.u32(0), uint64(d[8])) || int64(d.u32(4)) >= int64(t.inodes.len()) {
			return damaged("dirent %d", i)
		}
	}
	for i := range t.inodes.len() {
		if err := t.checkInode(i); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) checkInode(i int) error {
	n := t.inode(i)
	if !t.heap.has(n.u32(52), uint64(n.u32(56))) {
		return damaged("attributes of inode %d", i)
	}
	if _, err := unpackXattrs(t.heap.at(n.u32(52), n.u32(56))); err != nil {
		return damaged("inode %d: %v", i, err)
	}
	if i > 0 && (n.parent() >= t.inodes.len() || t.inode(n.parent()).typ() != TypeDir || int64(n.u32(64)) >= int64(t.dirents.len())) {
		return damaged("the place of inode %d", i)
	}
	first, count := n.u32(36), n.u32(40)
	switch n.typ() {
	case TypeDir:
		if uint64(first)+uint64(count) > uint64(t.dirents.len()) || i > 0 && n.parent() >= i { //nolint:gosec // lengths aren't negative
			return damaged("directory %d", i)
		}
		// Directories point forward alone, so that no way down is endless.
		for k := first; k < first+count; k++ {
			child := int(t.dirents.at(int(k)).u32(4))
			if t.inode(child).typ() == TypeDir && (child <= i || t.inode(child).parent() != i) {
				return damaged("directory %d", i)
			}
		}
	case TypeRegular:
		// Where the stream ends its layer knows.
		if int64(n.u32(68)) >= int64(t.layers.len()) || !checkContent(first, count, n.u64(44), n.u64(16), t.extents, 1<<62) {
			return damaged("file %d", i)
		}
	case TypeSymlink:
		if !t.heap.has(first, uint64(count)) {
			return damaged("link %d", i)
		}
	case TypeChar, TypeBlock, TypeFIFO:
	default:
		return damaged("inode %d has mode %o", i, n.u32(0))
	}
	return nil
}

// An inode is one record of the table.
type inode struct{ record }

func (t *Tree) inode(i int) inode { return inode{t.inodes.at(i)} }

func (n inode) typ() Type   { return Type(n.u32(0) & typeMask) }
func (n inode) parent() int { return int(n.u32(60)) }

// name is the name of a dirent, and what it leads to.
func (t *Tree) dirent(i int) (name string, inode int) {
	d := t.dirents.at(i)
	return t.heap.at(d.u32(0), uint32(d[8])), int(d.u32(4))
}

// seek is the first dirent of a directory whose name isn't less than name, and
// where its dirents end.
func (t *Tree) seek(dir inode, name string) (i, end int) {
	first, count := int(dir.u32(36)), int(dir.u32(40))
	end = first + count
	for count > 0 { // a binary search, as sort.Search is one
		half := count / 2
		if at, _ := t.dirent(first + half); at < name {
			first, count = first+half+1, count-half-1
		} else {
			count = half
		}
	}
	return first, end
}

// pathOf are the names on the way to an inode.
func (t *Tree) pathOf(i int) []string {
	var names []string
	for i > 0 {
		n := t.inode(i)
		name, _ := t.dirent(int(n.u32(64)))
		names, i = append(names, name), n.parent()
	}
	slices.Reverse(names)
	return names
}

// Partial tells whether there is more in the tree than it shows, because a layer
// is known in part.
func (t *Tree) Partial() bool { return t.partial }
