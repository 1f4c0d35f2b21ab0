package archive

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"time"
)

// An image is a tree with its layers, as the standard library sees file systems.
type image struct {
	*Tree
	ctx    context.Context
	layers []*Layer
}

// readFile reads from a file of the image.
func (m image) readFile(n Node, p []byte, off int64) (int, error) {
	layer, _, _ := n.Entry()
	return m.layers[layer].ReadFile(m.ctx, n, p, off)
}

// walk is what is at a path from the root. Links on the way are followed within
// the image, and the one at its end where follow says so.
func (m image) walk(name string, follow bool) (Node, bool) {
	n, links := m.Root(), 0
	for ahead := pathElements(name); len(ahead) > 0; {
		element := ahead[0]
		ahead = ahead[1:]
		if element == ".." {
			n, _ = m.Node(n.inode().parent())
			continue
		}
		child, ok := n.Lookup(element)
		if !ok {
			return Node{}, false
		}
		if child.Type() != TypeSymlink || len(ahead) == 0 && !follow {
			n = child
			continue
		}
		if links++; links > maxLinks {
			return Node{}, false
		}
		if strings.HasPrefix(child.Target(), "/") {
			n = m.Root()
		}
		ahead = append(pathElements(child.Target()), ahead...)
	}
	return n, true
}

func pathElements(path string) []string { return slices.Collect(elements(path)) }

type treeFS struct{ image }

// FS is the image with operations that are bounded by its context.
func (m image) FS() iofs.ReadLinkFS { return treeFS{m} }

func (f treeFS) find(op, name string, follow bool) (Node, error) {
	if !iofs.ValidPath(name) {
		return Node{}, &iofs.PathError{Op: op, Path: name, Err: iofs.ErrInvalid}
	}
	n, ok := f.walk(name, follow)
	if !ok {
		return Node{}, &iofs.PathError{Op: op, Path: name, Err: iofs.ErrNotExist}
	}
	return n, nil
}

// Open implements io/fs.FS.
func (f treeFS) Open(name string) (iofs.File, error) {
	n, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	return &openNode{fs: f, node: n, name: base(name)}, nil
}

// Lstat implements io/fs.ReadLinkFS.
func (f treeFS) Lstat(name string) (iofs.FileInfo, error) {
	n, err := f.find("lstat", name, false)
	return info{n, base(name)}, err
}

// ReadLink implements io/fs.ReadLinkFS.
func (f treeFS) ReadLink(name string) (string, error) {
	n, err := f.find("readlink", name, false)
	if err == nil && n.Type() != TypeSymlink {
		err = &iofs.PathError{Op: "readlink", Path: name, Err: iofs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return n.Target(), nil
}

func base(name string) string {
	_, last := cutLast(name)
	return last
}

// info is a node's iofs.FileInfo and iofs.DirEntry.
type info struct {
	node Node
	name string
}

func (i info) Name() string                 { return i.name }
func (i info) Size() int64                  { return i.node.Attr().Size }
func (i info) IsDir() bool                  { return i.node.Type() == TypeDir }
func (i info) Sys() any                     { return i.node }
func (i info) Type() iofs.FileMode          { return i.Mode().Type() }
func (i info) Info() (iofs.FileInfo, error) { return i, nil }

func (i info) ModTime() time.Time {
	a := i.node.Attr()
	return time.Unix(a.Sec, int64(a.Nsec))
}

func (i info) Mode() iofs.FileMode {
	a := i.node.Attr()
	mode := iofs.FileMode(a.Mode & 0o777)
	for bit, flag := range map[uint32]iofs.FileMode{0o4000: iofs.ModeSetuid, 0o2000: iofs.ModeSetgid, 0o1000: iofs.ModeSticky} {
		if a.Mode&bit != 0 {
			mode |= flag
		}
	}
	switch a.Type {
	case TypeDir:
		mode |= iofs.ModeDir
	case TypeSymlink:
		mode |= iofs.ModeSymlink
	case TypeChar:
		mode |= iofs.ModeDevice | iofs.ModeCharDevice
	case TypeBlock:
		mode |= iofs.ModeDevice
	case TypeFIFO:
		mode |= iofs.ModeNamedPipe
	}
	return mode
}

// A openNode is an open file or directory.
type openNode struct {
	fs    treeFS
	node  Node
	name  string
	off   int64
	after string // the last entry that was read
	done  bool
}

func (f *openNode) Stat() (iofs.FileInfo, error) { return info{f.node, f.name}, nil }
func (f *openNode) Close() error                 { return nil }

func (f *openNode) Read(p []byte) (int, error) {
	if f.node.Type() != TypeRegular {
		return 0, &iofs.PathError{Op: "read", Path: f.node.Path(), Err: iofs.ErrInvalid}
	}
	n, err := f.fs.readFile(f.node, p, f.off)
	f.off += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *openNode) ReadAt(p []byte, off int64) (int, error) {
	return f.fs.readFile(f.node, p, off)
}

// ReadDir implements io/fs.ReadDirFile.
func (f *openNode) ReadDir(n int) ([]iofs.DirEntry, error) {
	if f.node.Type() != TypeDir {
		return nil, &iofs.PathError{Op: "readdir", Path: f.node.Path(), Err: iofs.ErrInvalid}
	}
	var list []iofs.DirEntry
	if !f.done {
		for child := range f.node.Entries(f.after) {
			list = append(list, info{child, child.Name()})
			f.after = child.Name()
			if len(list) == n {
				return list, nil
			}
		}
	}
	f.done = true
	if n > 0 && len(list) == 0 {
		return nil, io.EOF
	}
	return list, nil
}
