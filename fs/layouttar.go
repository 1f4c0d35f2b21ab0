package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/export"
)

// A layoutTarNode is layout.tar of a manifest: what is in layout/, as one tar. It
// isn't made anywhere: a read fetches what it asks for, at any offset.
type layoutTarNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer = (*layoutTarNode)(nil)
	_ fusefs.NodeOpener    = (*layoutTarNode)(nil)
)

// newLayoutTar makes the inode of layout.tar in the directory p.
func (p *manifestPart) newLayoutTar(ctx context.Context, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	n := &layoutTarNode{p.below()}
	c, t, errno := n.tar(ctx)
	if errno != 0 {
		return nil, errno
	}
	n.tree.file(&out.Attr, t.Size(), n.created())
	keep(out, c.keepFor())
	return p.NewInode(ctx, n, id), 0
}

func (n *layoutTarNode) tar(ctx context.Context) (*layoutContent, *export.Tar, syscall.Errno) {
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, nil, errno
	}
	t, err := c.Tar()
	return c, t, n.tree.errno(ctx, "make layout.tar", n.reference(), err)
}

// Getattr implements fusefs.NodeGetattrer.
func (n *layoutTarNode) Getattr(ctx context.Context, f fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if open, ok := f.(*openLayoutTar); ok { // it has the size that it was opened with
		n.tree.file(&out.Attr, open.reader.Size(), n.created())
		return 0
	}
	c, t, errno := n.tar(ctx)
	if errno != 0 {
		return errno
	}
	n.tree.file(&out.Attr, t.Size(), n.created())
	out.SetTimeout(c.keepFor())
	return 0
}

// Open implements fusefs.NodeOpener. The kernel keeps no pages of it: two who have
// it open must not see each other's bytes, since a blob of it may turn out to be
// wrong, nor another size than their own, since a manifest that was left out may
// be there the next time.
func (n *layoutTarNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	_, t, errno := n.tar(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return &openLayoutTar{node: n, reader: t.Open(layoutContents{n.repo})}, readOnly | fuse.FOPEN_DIRECT_IO, 0
}

// An openLayoutTar is an open layout.tar.
type openLayoutTar struct {
	node   *layoutTarNode
	reader *export.TarReader
}

var (
	_ fusefs.FileReader   = (*openLayoutTar)(nil)
	_ fusefs.FileReleaser = (*openLayoutTar)(nil)
)

// Read implements fusefs.FileReader.
func (o *openLayoutTar) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.reader.ReadAt(ctx, dest, off)
	if err != nil {
		return nil, o.node.tree.contentErrno(ctx, "read layout.tar", o.node.reference(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Release implements fusefs.FileReleaser.
func (o *openLayoutTar) Release(context.Context) syscall.Errno {
	return o.node.tree.errno(o.node.tree.ctx, "close layout.tar", o.node.reference(), o.reader.Close())
}
