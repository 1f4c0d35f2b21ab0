package fs

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
)

// A blobNode is a file that is a blob: a layer, a config, a blob by digest.
type blobNode struct {
	node
	repo     *repository
	desc     ocispec.Descriptor
	modified time.Time
}

var (
	_ fusefs.NodeGetattrer   = (*blobNode)(nil)
	_ fusefs.NodeOpener      = (*blobNode)(nil)
	_ fusefs.NodeGetxattrer  = (*blobNode)(nil)
	_ fusefs.NodeListxattrer = (*blobNode)(nil)
)

// newBlob makes the inode of a blob's file in the directory n.
func (n *node) newBlob(ctx context.Context, r *repository, desc ocispec.Descriptor, modified time.Time,
	id fusefs.StableAttr, out *fuse.EntryOut,
) *fusefs.Inode {
	n.tree.file(&out.Attr, desc.Size, modified)
	keep(out, forever)
	return n.NewInode(ctx, &blobNode{node: node{tree: n.tree}, repo: r, desc: desc, modified: modified}, id)
}

func (n *blobNode) reference() string { return n.repo.reference(n.desc.Digest.String()) }

// Getattr implements fusefs.NodeGetattrer.
func (n *blobNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.file(&out.Attr, n.desc.Size, n.modified)
	out.SetTimeout(forever)
	return 0
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *blobNode) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return descriptorXattrs(n.desc).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *blobNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return descriptorXattrs(n.desc).list(dest)
}

// Open implements fusefs.NodeOpener.
//
// The kernel keeps the pages of earlier opens only if the whole blob has been
// verified. Otherwise a program could read a part from pages that were kept
// and the rest from us, and we would never see that it has read the whole, and
// that it must not succeed unless the digest is right.
func (n *blobNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	blob, err := n.repo.open(n.desc)
	if err != nil {
		return nil, 0, n.tree.errno(ctx, "open blob", n.reference(), err)
	}
	// Of a file without bytes the kernel reads none, so that this is where an
	// empty blob is found not to be one.
	if n.desc.Size == 0 {
		if _, err := blob.ReadAll(ctx); err != nil {
			return nil, 0, n.tree.contentErrno(ctx, "open blob", n.reference(), errors.Join(err, blob.Close()))
		}
	}
	how := uint32(readOnly)
	if blob.Verified() {
		how |= fuse.FOPEN_KEEP_CACHE
	}
	return &openBlob{node: n, blob: blob, reader: blob.Reader()}, how, 0
}

// An openBlob is an open file of a blob.
type openBlob struct {
	node   *blobNode
	blob   *cache.Blob
	reader *cache.Reader
}

var (
	_ fusefs.FileReader   = (*openBlob)(nil)
	_ fusefs.FileReleaser = (*openBlob)(nil)
)

// Read implements fusefs.FileReader.
func (o *openBlob) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.reader.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, o.node.tree.contentErrno(ctx, "read blob", o.node.reference(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Release implements fusefs.FileReleaser.
func (o *openBlob) Release(context.Context) syscall.Errno {
	err := errors.Join(o.reader.Close(), o.blob.Close())
	return o.node.tree.errno(o.node.tree.ctx, "close blob", o.node.reference(), err)
}
