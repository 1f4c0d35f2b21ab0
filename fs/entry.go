package fs

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/archive"
)

// An entryNode is an entry of an archive: a file, a directory, a link, a
// device. Its attributes are the archive's.
type entryNode struct {
	node
	view  *view
	entry archive.Node
}

var (
	_ fusefs.NodeGetattrer      = (*entryNode)(nil)
	_ fusefs.NodeLookuper       = (*entryNode)(nil)
	_ fusefs.NodeOpendirHandler = (*entryNode)(nil)
	_ fusefs.NodeOpener         = (*entryNode)(nil)
	_ fusefs.NodeReadlinker     = (*entryNode)(nil)
	_ fusefs.NodeGetxattrer     = (*entryNode)(nil)
	_ fusefs.NodeListxattrer    = (*entryNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *entryNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	fillAttr(&out.Attr, n.entry.Attr())
	out.SetTimeout(forever)
	return 0
}

// fillAttr tells the kernel what the archive says.
func fillAttr(out *fuse.Attr, a archive.Attr) {
	out.Mode = uint32(a.Type) | a.Mode
	out.Size = uint64(max(a.Size, 0))
	out.Blocks = (out.Size + 511) / 512
	out.Nlink = a.Links
	out.Owner = fuse.Owner{Uid: a.UID, Gid: a.GID}
	// As the kernel packs a device's numbers into 32 bits (new_encode_dev).
	out.Rdev = a.Minor&0xff | a.Major<<8 | (a.Minor&^0xff)<<12
	modified := time.Unix(a.Sec, int64(a.Nsec))
	out.SetTimes(&modified, &modified, &modified)
}

// Lookup implements fusefs.NodeLookuper.
func (n *entryNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.lookup(ctx, n.view, n.entry, name, out)
}

// lookup looks up an entry of the directory dir, which n shows.
func (n *node) lookup(ctx context.Context, v *view, dir archive.Node, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	entry, ok := dir.Lookup(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	fillAttr(&out.Attr, entry.Attr())
	keep(out, forever)
	return n.NewInode(ctx, &entryNode{node: node{tree: n.tree}, view: v, entry: entry}, v.identity(entry)), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *entryNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return n.opendir(n.view, n.entry)
}

// opendir lists the directory dir, which n shows.
func (n *node) opendir(v *view, dir archive.Node) (fusefs.FileHandle, uint32, syscall.Errno) {
	const pageLen = 512
	list := func(_ context.Context, emit func([]fuse.DirEntry) error) error {
		page := dots(n.EmbeddedInode())
		for child := range dir.Entries("") {
			page = append(page, entry(child.Name(), v.identity(child)))
			if len(page) < pageLen {
				continue
			}
			if err := emit(page); err != nil {
				return err
			}
			page = nil
		}
		return emit(page)
	}
	d := &directory{tree: n.tree, list: list, fail: fusefs.ToErrno}
	return d, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}

// Readlink implements fusefs.NodeReadlinker.
func (n *entryNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(n.entry.Target()), 0
}

// xattrs are the archive's own.
func (n *entryNode) xattrs() xattrs {
	x := xattrs{}
	for _, a := range n.entry.Xattrs() {
		x[a.Name] = a.Value
	}
	return x
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *entryNode) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs().get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *entryNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs().list(dest)
}

// Open implements fusefs.NodeOpener. The kernel keeps the pages of contents
// that are verified part by part; those of a plain tar are read again, since its
// blob may turn out to be wrong.
func (n *entryNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	var keep uint32
	if n.entry.Verified() {
		keep = fuse.FOPEN_KEEP_CACHE
	}
	return &openEntry{n}, keep, 0
}

// An openEntry is an open file of an archive.
type openEntry struct{ *entryNode }

var _ fusefs.FileReader = (*openEntry)(nil)

// Read implements fusefs.FileReader.
func (o *openEntry) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.entry.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, o.tree.contentErrno(ctx, "read", o.view.reference+" "+o.entry.Path(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// A viewNode is the directory that a view shows.
type viewNode struct {
	node
	view *view
	attr atomic.Pointer[archive.Attr] // the tree's own, once it is open
}

var (
	_ fusefs.NodeGetattrer      = (*viewNode)(nil)
	_ fusefs.NodeLookuper       = (*viewNode)(nil)
	_ fusefs.NodeOpendirHandler = (*viewNode)(nil)
	_ fusefs.NodeGetxattrer     = (*viewNode)(nil)
	_ fusefs.NodeListxattrer    = (*viewNode)(nil)
)

// newView makes the inode of a view in the directory n.
func (n *node) newView(ctx context.Context, v *view, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	n.tree.directory(&out.Attr, v.created)
	out.SetEntryTimeout(forever)
	return n.NewInode(ctx, &viewNode{node: node{tree: n.tree}, view: v}, id)
}

// root is the directory itself, opened if need be.
func (n *viewNode) root(ctx context.Context) (archive.Node, syscall.Errno) {
	root, err := n.view.root(ctx)
	if err != nil {
		return root, n.tree.contentErrno(ctx, "open archive", n.view.reference, err)
	}
	attr := root.Attr()
	n.attr.Store(&attr)
	return root, 0
}

// Getattr implements fusefs.NodeGetattrer. Until somebody looks into the
// directory its attributes are the manifest's: telling the true ones may cost
// all of a layer.
func (n *viewNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if attr := n.attr.Load(); attr != nil {
		fillAttr(&out.Attr, *attr)
		out.SetTimeout(forever)
		return 0
	}
	n.tree.directory(&out.Attr, n.view.created)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (n *viewNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	root, errno := n.root(ctx)
	if errno != 0 {
		return nil, errno
	}
	return n.lookup(ctx, n.view, root, name, out)
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *viewNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	root, errno := n.root(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return n.opendir(n.view, root)
}

// xattrs are those of the tree's directory; none before it is open.
func (n *viewNode) xattrs(ctx context.Context) xattrs {
	x := xattrs{}
	if n.attr.Load() == nil {
		return x
	}
	root, errno := n.root(ctx)
	if errno != 0 {
		return x
	}
	for _, a := range root.Xattrs() {
		x[a.Name] = a.Value
	}
	return x
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *viewNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *viewNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).list(dest)
}
