package archive

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// An Image is the tree of some layers, each applied to those below it (image
// specification, "Image Layer Filesystem Changeset"), or of one layer as it is.
// It is safe for concurrent use.
//
// Nothing is merged beforehand: a directory is the list of the layers'
// directories that it is made of, and its entries are found in those.
type Image struct {
	layers []*Layer // the lowest first
	raw    bool     // a whiteout is a file like any other

	// What a layer's entry means depends on the layers below it in these cases
	// alone, which are settled when the image is made.
	alias  map[ref]ref      // a hard link to a file of a lower layer: that file
	gone   map[ref]bool     // entries that are not where their layer has them
	grafts map[string][]ref // by path: directories that a lower layer's link leads there
	names  map[ref][]string // names of files that upper layers gave further ones

	mu    sync.Mutex     // guards links
	links map[ref]uint32 // how many names a file has, where that had to be counted
}

// Partial tells whether there is more in the image than it shows, because a
// layer is still being indexed. What it shows as a file is the image's, unless
// its layer has another one of that name further on; and so is a directory that
// an entry names, but for what is in it.
func (m *Image) Partial() bool {
	for _, l := range m.layers {
		if l.partial {
			return true
		}
	}
	return false
}

// A ref is an inode of a layer.
type ref struct{ layer, inode int }

// NewTree is the tree of a layer as it is.
func NewTree(l *Layer) *Image {
	m := newImage([]*Layer{l})
	m.raw = true
	l.hardlinks(func(inode int, _ string) { m.gone[ref{0, inode}] = true })
	return m
}

// NewImage is the tree of an image's layers, the lowest first.
func NewImage(layers []*Layer) *Image {
	m := newImage(layers)
	for k := 1; k < len(layers); k++ {
		below := newImage(layers[:k])
		below.alias, below.gone, below.grafts, below.names = m.alias, m.gone, m.grafts, m.names
		m.settle(k, below)
	}
	if len(layers) > 0 {
		layers[0].hardlinks(func(inode int, path string) { m.leaveOut(ref{0, inode}, path) })
	}
	return m
}

// leaveOut takes a hard link that leads to nothing out of the tree.
func (m *Image) leaveOut(r ref, path string) {
	m.gone[r] = true
	l := m.layers[r.layer]
	if !l.partial {
		l.source.Log.Warn("an entry is left out", "layer", l.source.Digest, "entry", path,
			"error", "a hard link to "+strconv.Quote(l.index.inode(r.inode).target())+", which is no file")
	}
}

func newImage(layers []*Layer) *Image {
	return &Image{
		layers: layers, alias: map[ref]ref{}, gone: map[ref]bool{}, grafts: map[string][]ref{},
		names: map[ref][]string{}, links: map[ref]uint32{},
	}
}

// hardlinks calls f for each hard link to something that the layer doesn't have.
func (l *Layer) hardlinks(f func(inode int, path string)) {
	x := l.index
	for k := range x.links.len() {
		r := x.links.at(k)
		if i := int(r.u32(0)); x.inode(i).typ() == typeHardlink {
			f(i, join(x.pathOf(int(r.u32(4))), x.dirent(int(r.u32(8))).name))
		}
	}
}

// settle finds out what layer k's entries mean that refer to what is below.
func (m *Image) settle(k int, below *Image) {
	l := m.layers[k]
	l.hardlinks(func(inode int, path string) {
		target, ok := below.Walk(l.index.inode(inode).target())
		r := ref{k, inode}
		if !ok || target.Type() == TypeDir {
			m.leaveOut(r, path)
			return
		}
		m.alias[r] = target.at
		if len(m.names[target.at]) == 0 && target.inode().links() == 1 {
			m.names[target.at] = []string{target.path} // its own
		}
		m.names[target.at] = append(m.names[target.at], path)
	})
	// A directory that no entry names is only the way to what is in it: where
	// a symbolic link is on the way below, it leads on.
	for i := range l.index.implied.len() {
		dir := int(l.index.implied.at(i).u32(0))
		if dir == 0 {
			continue
		}
		path := l.index.pathOf(dir)
		link, ok := below.Walk(path)
		if !ok || link.Type() != TypeSymlink {
			continue
		}
		if target, ok := below.Follow(link); ok && target.Type() == TypeDir {
			m.gone[ref{k, dir}] = true
			m.grafts[target.path] = append(m.grafts[target.path], ref{k, dir})
		}
	}
}

// A Node is a file or a directory of an Image.
type Node struct {
	image *Image
	path  string // from the root, "" is the root
	at    ref    // whose attributes it has
	parts []ref  // a directory's, the topmost first
}

// Root is the image's root directory.
func (m *Image) Root() Node {
	var parts []ref
	for k := range slices.Backward(m.layers) {
		parts = append(parts, ref{k, 0})
	}
	return m.directory("", parts)
}

// The names of whiteouts (image specification, layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// directory is the directory that is made of parts.
func (m *Image) directory(path string, parts []ref) Node {
	if more := m.grafts[path]; len(more) > 0 {
		for _, r := range more {
			if r.layer < len(m.layers) { // not while those below are looked at
				parts = append(parts, r)
			}
		}
		slices.SortStableFunc(parts, func(a, b ref) int { return b.layer - a.layer })
	}
	n := Node{image: m, path: path}
	if len(parts) == 0 { // an image without layers
		return n
	}
	// Its attributes are the topmost entry's that names it. What hides its
	// content doesn't hide those.
	n.at = parts[0]
	for _, p := range parts {
		if !m.index(p).inode(p.inode).implied() {
			n.at = p
			break
		}
	}
	n.parts = parts
	for i, p := range parts {
		if _, ok := m.index(p).child(p.inode, opaque); ok && !m.raw {
			n.parts = parts[:i+1]
			break
		}
	}
	return n
}

func (m *Image) index(r ref) *index { return m.layers[r.layer].index }

// Lookup is the entry of that name in a directory.
func (n Node) Lookup(name string) (Node, bool) {
	m := n.image
	if !m.raw && strings.HasPrefix(name, whiteout) {
		return Node{}, false
	}
	var parts []ref
	for _, p := range n.parts {
		x := m.index(p)
		if r, ok := m.entry(p, name); ok {
			if m.index(r).inode(r.inode).typ() != TypeDir {
				if len(parts) > 0 {
					break
				}
				return Node{image: m, path: join(n.path, name), at: r}, true
			}
			parts = append(parts, r)
		}
		if m.raw {
			continue
		}
		if _, ok := x.child(p.inode, whiteout+name); ok {
			break
		}
	}
	if len(parts) == 0 {
		return Node{}, false
	}
	return m.directory(join(n.path, name), parts), true
}

// entry is the entry of that name in a layer's directory.
func (m *Image) entry(dir ref, name string) (ref, bool) {
	i, ok := m.index(dir).child(dir.inode, name)
	r := ref{dir.layer, i}
	if !ok || m.gone[r] {
		return ref{}, false
	}
	if target, ok := m.alias[r]; ok {
		return target, true
	}
	return r, true
}

// Entries are the entries of a directory whose names come after one, in the
// order of the names' bytes.
func (n Node) Entries(after string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		m := n.image
		at := make([]int, len(n.parts)) // the next dirent of each part
		for k, p := range n.parts {
			at[k] = m.index(p).seek(p.inode, after)
		}
		for {
			name, ok := "", false
			for k, p := range n.parts {
				if _, end := m.index(p).inode(p.inode).entriesOf(); at[k] < end {
					if next := m.index(p).dirent(at[k]).name; !ok || next < name {
						name, ok = next, true
					}
				}
			}
			if !ok {
				return
			}
			for k, p := range n.parts {
				if _, end := m.index(p).inode(p.inode).entriesOf(); at[k] < end && m.index(p).dirent(at[k]).name == name {
					at[k]++
				}
			}
			if name <= after && after != "" {
				continue
			}
			if child, ok := n.Lookup(name); ok && !yield(child) {
				return
			}
		}
	}
}

// Walk is what is at a path from the root. Symbolic links on the way are
// followed within the image, one at its end isn't.
func (m *Image) Walk(path string) (Node, bool) {
	elements := pathElements(path)
	if len(elements) == 0 {
		return m.Root(), true
	}
	last := elements[len(elements)-1]
	dir, ok := m.resolve("", strings.Join(elements[:len(elements)-1], "/"))
	if !ok || last == ".." {
		return Node{}, false
	}
	return dir.Lookup(last)
}

// Follow is what a symbolic link leads to.
func (m *Image) Follow(link Node) (Node, bool) {
	dir, _, _ := cutLast(link.path)
	return m.resolve(dir, link.Target())
}

// resolve is what is at a path in the directory dir, all links followed.
func (m *Image) resolve(dir, path string) (Node, bool) {
	elements, ok := followLinks(dir, path, func(path []string) (string, bool) {
		n, ok := m.at(path)
		if !ok || n.Type() != TypeSymlink {
			return "", ok
		}
		return n.Target(), true
	})
	if !ok {
		return Node{}, false
	}
	return m.at(elements)
}

// At is what is at a path from the root that has no link in it.
func (m *Image) At(path string) (Node, bool) { return m.at(pathElements(path)) }

// at is what is at a path without any link in it.
func (m *Image) at(path []string) (Node, bool) {
	n := m.Root()
	for _, element := range path {
		var ok bool
		if n, ok = n.Lookup(element); !ok {
			return Node{}, false
		}
	}
	return n, true
}

func cutLast(path string) (dir, name string, found bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// ReadAt reads from a file like io.ReaderAt, with a context.
func (n Node) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return n.image.layers[n.at.layer].readAt(ctx, n.at.inode, p, off)
}
