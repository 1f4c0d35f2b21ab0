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
	pages atomic.Pointer[pages] // nil while it was never opened, or needs none
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
	out.SetTimeout(keepFor(n.entry))
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
	entry, ok := n.entry.Lookup(name)
	if n.entry.Image().Partial() {
		var err error
		if entry, ok, err = n.view.find(ctx, n.entry.Path(), name); err != nil {
			return nil, n.tree.contentErrno(ctx, "look up", n.view.reference()+" "+n.entry.Path(), err)
		}
	}
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.newEntry(ctx, n.view, entry, out), 0
}

// newEntry makes the inode of an entry in the directory n.
func (n *node) newEntry(ctx context.Context, v *view, entry archive.Node, out *fuse.EntryOut) *fusefs.Inode {
	fillAttr(&out.Attr, entry.Attr())
	keep(out, keepFor(entry))
	return n.NewInode(ctx, &entryNode{node: node{tree: n.tree}, view: v, entry: entry}, n.tree.spent.successor(v.identity(entry)))
}

// OpendirHandle implements fusefs.NodeOpendirHandler. All of the directory is
// known, or waited for.
func (n *entryNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	dir, err := n.view.whole(ctx, n.entry)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "list", n.view.reference()+" "+n.entry.Path(), err)
	}
	return n.opendir(n.view, dir)
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
	return d, immutable, 0
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

// Open implements fusefs.NodeOpener.
func (n *entryNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	return openEntry(&n.node, n.view, n.entry, n.view.identity(n.entry), &n.pages)
}

// openEntry opens a file of an archive as the inode n, which had that identity at
// first, and whose pages those are. The kernel keeps the pages of what is verified part by part; those of a plain tar are
// as good as its blob, and go with it.
func openEntry(n *node, v *view, entry archive.Node, id fusefs.StableAttr, kept *atomic.Pointer[pages]) (fusefs.FileHandle, uint32, syscall.Errno) {
	o := &openedEntry{tree: n.tree, view: v, entry: entry}
	blob, ok := entry.Blob().(content)
	if entry.Verified() || !ok {
		how := uint32(readOnly)
		if entry.Verified() {
			how |= fuse.FOPEN_KEEP_CACHE
		}
		return o, how, 0
	}
	kept.CompareAndSwap(nil, &pages{id: id})
	how, _, errno := kept.Load().open(n.tree, n.EmbeddedInode().StableAttr(), blob)
	if errno != 0 {
		return nil, 0, errno
	}
	o.release = func() { kept.Load().release(blob) }
	return o, readOnly | how, 0
}

// An openedEntry is an open file of an archive.
type openedEntry struct {
	tree    *tree
	view    *view
	entry   archive.Node
	release func() // nil where there is nothing to be released
}

var (
	_ fusefs.FileReader   = (*openedEntry)(nil)
	_ fusefs.FileReleaser = (*openedEntry)(nil)
)

// Release implements fusefs.FileReleaser.
func (o *openedEntry) Release(context.Context) syscall.Errno {
	if o.release != nil {
		o.release()
	}
	return 0
}

// Read implements fusefs.FileReader.
func (o *openedEntry) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.entry.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, o.tree.contentErrno(ctx, "read", o.view.reference()+" "+o.entry.Path(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}
