package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of an archive.
const (
	maxEntries = 1 << 20
	maxIndex   = 256 << 20 // bytes of an index, and of what it is made of
	maxDepth   = 1024      // directories within each other
	maxLinks   = 40        // symbolic links on one way, as Linux' MAXSYMLINKS
)

// A builder makes the tree of one layer of its entries, in the order in which
// the archive has them.
//
// A directory over a directory replaces its attributes and keeps its children;
// any other entry removes what has its name. A whiteout is an entry like any
// other: what it means is for the image (image.go).
type builder struct {
	skip func(error) // is told what is left out

	root    *bnode
	entries int
	memory  int64 // roughly what it holds, in bytes
	spans   []span

	// hide are names at the root that belong to the format and not to the tree.
	hide map[string]bool
	// added, if not nil, is called after each entry with the offset in the
	// stream up to which the tar has been read.
	added func(off int64) error
}

// A bnode is a node of a tree in the making. Several names may lead to one,
// hard links.
type bnode struct {
	entry
	children map[string]*bnode // of a directory
	implied  bool              // a directory that no entry names
	number   uint32            // in the index that writer makes
	writer   *indexWriter
}

func newBuilder(skip func(error)) *builder {
	return &builder{skip: skip, root: impliedDir()}
}

func impliedDir() *bnode {
	return &bnode{entry: entry{typ: TypeDir, mode: 0o755}, children: map[string]*bnode{}, implied: true}
}

// add takes the next entry. What can't be a file is left out; an error is that
// the archive is beyond the bounds.
func (b *builder) add(e entry) error {
	b.entries++
	b.memory += int64(len(e.name)+len(e.link)) + 256 + 24*int64(len(e.extents))
	for _, x := range e.xattrs {
		b.memory += int64(len(x.Name) + len(x.Value))
	}
	if b.entries > maxEntries || b.memory > maxIndex {
		return fmt.Errorf("%w: more than %d entries, or their names and attributes take too much", ErrTooLarge, maxEntries)
	}
	err := b.place(e)
	if errors.Is(err, errSkipped) {
		b.skip(err)
		return nil
	}
	return err
}

func (b *builder) place(e entry) error {
	elements, err := splitPath(e.name)
	if err != nil {
		return err
	}
	if err := check(&e); err != nil {
		return err
	}
	if len(elements) == 0 {
		if e.typ == TypeDir {
			b.root.entry, b.root.implied = e, false
		}
		return nil
	}
	if len(elements) == 1 && b.hide[elements[0]] {
		return nil
	}
	dir, err := b.parent(e.name, elements[:len(elements)-1])
	if err != nil {
		return err
	}
	name := elements[len(elements)-1]
	node := &bnode{entry: e}
	switch e.typ {
	case TypeDir:
		if before := dir.children[name]; before != nil && before.typ == TypeDir {
			before.entry, before.implied = e, false
			return nil
		}
		node.children = map[string]*bnode{}
	case typeHardlink:
		target, err := b.linkTarget(e)
		if err != nil {
			return err
		}
		if target != nil {
			node = target
		}
	}
	node.name = "" // no longer needed
	dir.children[name] = node
	return nil
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

// parent is the directory of that path, made where it isn't there. What is in
// the way goes, but a symbolic link to a directory of the layer is followed, as
// it is when layers are unpacked one over the other.
func (b *builder) parent(name string, elements []string) (*bnode, error) {
	if len(elements) > maxDepth {
		return nil, skipped(name, "more than %d directories", maxDepth)
	}
	dir := b.root
	for i, element := range elements {
		child := dir.children[element]
		if child != nil && child.typ == TypeSymlink {
			child = b.follow(strings.Join(elements[:i], "/"), child.link)
		}
		if child == nil || child.typ != TypeDir {
			child = impliedDir()
			b.memory += 256
			dir.children[element] = child
		}
		dir = child
	}
	return dir, nil
}

// follow is what a symbolic link in the directory dir leads to within the
// layer, nil if that isn't there.
func (b *builder) follow(dir, target string) *bnode {
	elements, ok := followLinks(dir, target, func(path []string) (string, bool) {
		n := b.at(path)
		if n == nil || n.typ != TypeSymlink {
			return "", n != nil
		}
		return n.link, true
	})
	if !ok {
		return nil
	}
	return b.at(elements)
}

// at is the node of that path, without following links.
func (b *builder) at(path []string) *bnode {
	n := b.root
	for _, element := range path {
		if n = n.children[element]; n == nil {
			return nil
		}
	}
	return n
}

// linkTarget is what a hard link leads to: nil where that isn't in this layer,
// but perhaps in one below it.
func (b *builder) linkTarget(e entry) (*bnode, error) {
	elements, err := splitPath(e.link)
	if err != nil {
		return nil, err
	}
	if len(elements) == 0 {
		return nil, skipped(e.name, "a hard link to the root")
	}
	n := b.at(elements)
	if n == nil {
		n = b.follow("", strings.Join(elements[:len(elements)-1], "/"))
		if n != nil {
			n = n.children[elements[len(elements)-1]]
		}
	}
	if n != nil && n.typ == TypeDir {
		return nil, skipped(e.name, "a hard link to a directory")
	}
	return n, nil
}

// followLinks resolves a path in the directory dir as Linux would below a root
// that nothing leads out of. lookup gives the target of the symbolic link at a
// path, "" for what is none, and whether anything is there. The result holds no
// link; false is that there are too many.
func followLinks(dir, target string, lookup func(path []string) (string, bool)) ([]string, bool) {
	var at []string
	rest := pathElements(dir)
	push := func(target string) {
		if strings.HasPrefix(target, "/") {
			at = nil
		}
		rest = append(pathElements(target), rest...)
	}
	// dir has no link in it, so that walking it first changes nothing.
	at, rest = rest, nil
	push(target)
	for links := 0; len(rest) > 0; {
		element := rest[0]
		rest = rest[1:]
		if element == ".." {
			at = at[:max(0, len(at)-1)]
			continue
		}
		next := append(slices.Clip(at), element)
		if len(next) > maxDepth {
			return nil, false
		}
		link, _ := lookup(next)
		if link == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return nil, false
		}
		push(link)
	}
	return at, true
}

func pathElements(path string) []string {
	var elements []string
	for element := range strings.SplitSeq(path, "/") {
		if element != "" && element != "." {
			elements = append(elements, element)
		}
	}
	return elements
}

// addSpan takes the next span of the stream.
func (b *builder) addSpan(s span) error {
	if s.length <= 0 || s.length > maxSpan || s.packed < 0 || s.packed > maxPacked || s.skip < 0 || s.skip > maxSpan {
		return fmt.Errorf("%w: a span of %d bytes in %d", ErrFormat, s.length, s.packed)
	}
	if n := len(b.spans); n > 0 && s.stream != b.spans[n-1].stream+b.spans[n-1].length || n == 0 && s.stream != 0 {
		return fmt.Errorf("%w: a span at %d isn't next", ErrFormat, s.stream)
	}
	if b.memory += int64(len(s.window)) + 128; b.memory > maxIndex {
		return fmt.Errorf("%w: its spans take too much", ErrTooLarge)
	}
	b.spans = append(b.spans, s)
	return nil
}
