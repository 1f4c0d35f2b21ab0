package archive

import (
	"context"
	"iter"
	"strings"
)

// A Node is a file or a directory of a Tree, by one of its names.
type Node struct {
	tree   *Tree
	number int    // of the inode
	dir    int    // the directory that holds it
	name   string // there; "" is the root
	sure   bool   // in a partial tree: see Tree.Sure
}

// Root is the root directory.
func (t *Tree) Root() Node { return Node{tree: t} }

// Node is the node with that number, by the first of its names.
func (t *Tree) Node(number int) (Node, bool) {
	if number < 0 || number >= t.inodes.len() {
		return Node{}, false
	}
	if number == 0 {
		return t.Root(), true
	}
	n := t.inode(number)
	name, _ := t.dirent(int(n.u32(64)))
	return Node{tree: t, number: number, dir: n.parent(), name: name}, true
}

// Number tells the node apart from others of the tree; all names of a file have
// one.
func (n Node) Number() int { return n.number }

// Tree is the tree that the node is of.
func (n Node) Tree() *Tree { return n.tree }

func (n Node) inode() inode { return n.tree.inode(n.number) }

// Name is the last element of its path.
func (n Node) Name() string { return n.name }

// Path is the node's path from the root, "" for the root itself.
func (n Node) Path() string {
	if n.number == 0 {
		return ""
	}
	return strings.Join(append(n.tree.pathOf(n.dir), n.name), "/")
}

// An Attr is what stat(2) tells of a node.
type Attr struct {
	Type     Type
	Mode     uint32 // permissions, setuid, setgid, sticky
	UID, GID uint32
	Size     int64 // of a file and of a symbolic link; bytes
	Sec      int64 // time of modification, since 1970
	Nsec     uint32
	Links    uint32 // names of a file; 1 for a directory, which is no count
	// Major and Minor are a device's.
	Major, Minor uint32
}

// Type is what the node is.
func (n Node) Type() Type { return n.inode().typ() }

// Attr is what is known of the node.
func (n Node) Attr() Attr {
	i := n.inode()
	a := Attr{
		Type: i.typ(), Mode: i.u32(0) & modeMask, UID: i.u32(4), GID: i.u32(8),
		Sec: int64(i.u64(24)), Nsec: i.u32(32), Links: i.u32(12), //nolint:gosec // two's complement
	}
	switch a.Type {
	case TypeRegular, TypeSymlink:
		a.Size = int64(i.u64(16)) //nolint:gosec // checked
	case TypeChar, TypeBlock:
		a.Major, a.Minor = i.u32(36), i.u32(40)
	}
	return a
}

// Target is where a symbolic link leads to.
func (n Node) Target() string {
	i := n.inode()
	if i.typ() != TypeSymlink {
		return ""
	}
	return n.tree.heap.at(i.u32(36), i.u32(40))
}

// Xattrs are the node's extended attributes, in the order of their names.
func (n Node) Xattrs() []Xattr {
	i := n.inode()
	list, err := unpackXattrs(n.tree.heap.at(i.u32(52), i.u32(56)))
	if err != nil {
		return nil // parseTree has looked at all of them
	}
	return list
}

// Entry is the entry that a node is made of: the number of its layer among the
// tree's, and its own there. false is a directory that no entry names.
func (n Node) Entry() (layer, number int, ok bool) {
	i := n.inode()
	if i.u32(68) == noLayer {
		return 0, 0, false
	}
	return int(i.u32(68)), int(i.u32(72)), true
}

// Own tells whether the node is this tree's own: which names it has, what is in
// it or what is said of it depends on other layers than its entry's. What isn't
// is the same file wherever the layer is.
func (n Node) Own() bool { return n.Type() == TypeDir || n.inode().record[76]&inodeOwn != 0 }

// Lookup is the entry of that name in a directory.
func (n Node) Lookup(name string) (Node, bool) {
	dir := n.inode()
	if dir.typ() != TypeDir {
		return Node{}, false
	}
	if i, end := n.tree.seek(dir, name); i < end {
		if found, number := n.tree.dirent(i); found == name {
			return Node{n.tree, number, n.number, found, n.tree.dirents.at(i)[9]&direntSure != 0}, true
		}
	}
	return Node{}, false
}

// Entries are the entries of a directory whose names come after one, in the
// order of the names' bytes.
func (n Node) Entries(after string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		dir := n.inode()
		if dir.typ() != TypeDir {
			return
		}
		for i, end := n.tree.seek(dir, after); i < end; i++ {
			name, number := n.tree.dirent(i)
			if name == after {
				continue
			}
			if !yield(Node{tree: n.tree, number: number, dir: n.number, name: name}) {
				return
			}
		}
	}
}

// At is what is at a path from the root that has no link in it.
func (t *Tree) At(path string) (Node, bool) {
	n := t.Root()
	for element := range elements(path) {
		var ok bool
		if n, ok = n.Lookup(element); !ok {
			return Node{}, false
		}
	}
	return n, true
}

// Sure is At of a tree that is partial, for what nothing can change that isn't
// known yet. So it is what the layer that is known in part, or one above it, has an
// entry for: the rest of that layer may replace what is from below, but names what
// it has named once more only if it contradicts itself.
//
// A directory that no entry names could be a link in a layer below, and what is
// in it elsewhere. If there is one such way in the known layers, it might lead to
// any place, and nothing is sure.
func (t *Tree) Sure(path string) (Node, bool) {
	if t.unsure {
		return Node{}, false
	}
	n, ok := t.At(path)
	return n, ok && (!t.partial || n.sure)
}

// elements are the elements of a path; those that mean nothing are left out.
func elements(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for element := range strings.SplitSeq(path, "/") {
			if element != "" && element != "." && !yield(element) {
				return
			}
		}
	}
}

// ReadFile reads from a file of a tree like io.ReaderAt, with a context. l is its
// layer (see Node.Entry).
func (l *Layer) ReadFile(ctx context.Context, n Node, p []byte, off int64) (int, error) {
	return l.readAt(ctx, n.tree, n.inode(), p, off)
}

// Held is all of a file of a tree, if it is in memory as one: it lies in one span, and that
// is kept. It is shared, and nobody changes it. l is the file's layer.
func (l *Layer) Held(n Node) ([]byte, bool) {
	r := n.inode()
	if r.typ() != TypeRegular || r.u32(40) > 0 || l.index.layout != layoutSpans {
		return nil, false
	}
	off, size := int64(r.u64(44)), int64(r.u64(16)) //nolint:gosec // checked
	if size == 0 || off+size > l.index.size {
		return nil, false
	}
	i := l.index.spanAt(off)
	s := l.index.span(i)
	if off+size > s.stream+s.length {
		return nil, false
	}
	data, ok := l.source.Store.Kept(spanKey(l.keep, i))
	if !ok {
		return nil, false
	}
	l.ahead.passed(l, i)
	return data[off-s.stream:][:size:size], true
}
