package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
)

// A blobNode is a file that is a blob: a layer, a config, a blob by digest.
type blobNode struct {
	node
	repo     *repository
	desc     ocispec.Descriptor
	manifest digest.Digest // whose file it is; "" is no one's: a blob by digest
	modified time.Time
	pages    pages
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
	return n.newBlobNode(ctx, &blobNode{repo: r, desc: desc, modified: modified}, id, out)
}

// newBlobOf is newBlob for a file of a manifest.
func (n *node) newBlobOf(ctx context.Context, a *repositoryArtifact, desc ocispec.Descriptor,
	id fusefs.StableAttr, out *fuse.EntryOut,
) *fusefs.Inode {
	return n.newBlobNode(ctx, &blobNode{repo: a.repo, desc: desc, manifest: a.Digest, modified: a.Created}, id, out)
}

func (n *node) newBlobNode(ctx context.Context, b *blobNode, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	n.tree.file(&out.Attr, b.desc.Size, b.modified)
	keep(out, forever)
	b.node, b.pages = node{tree: n.tree}, pages{id: id}
	return n.NewInode(ctx, b, n.tree.spent.successor(id))
}

// admit fails unless the file may be read.
func (n *blobNode) admit(ctx context.Context) (err error) {
	if n.manifest == "" {
		return n.repo.admitBlob(ctx, n.desc.Digest)
	}
	_, err = n.repo.admit(ctx, n.manifest)
	return err
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

// Open implements fusefs.NodeOpener. It never waits for the registry, but where only
// what is signed may be read. What the kernel may keep of earlier opens pages.go
// decides.
func (n *blobNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	if err := n.admit(ctx); err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open blob", n.reference(), err)
	}
	blob, err := n.repo.open(n.desc)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open blob", n.reference(), err)
	}
	// Of a file without bytes the kernel reads none, so that this is where an
	// empty blob is found not to be one.
	if n.desc.Size == 0 {
		_, err = blob.ReadAll(ctx)
	} else {
		err = blob.Look(ctx)
	}
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open blob", n.reference(), errors.Join(err, blob.Close()))
	}
	handle := &openBlob{node: n, blob: blob, reader: blob.Reader()}
	how, file, errno := n.pages.open(n.tree, n.EmbeddedInode().StableAttr(), blob)
	if errno != 0 {
		_ = handle.close() // of one that was just opened
		return nil, 0, errno
	}
	if file != nil {
		return &passedBlob{handle, file}, readOnly, 0
	}
	return handle, readOnly | how, 0
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
	o.node.pages.release(o.blob)
	return o.node.tree.errno(o.node.tree.ctx, "close blob", o.node.reference(), o.close())
}

func (o *openBlob) close() error { return errors.Join(o.reader.Close(), o.blob.Close()) }

// A passedBlob is an open file that the kernel reads from the cache's disk itself.
type passedBlob struct {
	*openBlob
	file *os.File
}

var _ fusefs.FilePassthroughFder = (*passedBlob)(nil)

// PassthroughFd implements fusefs.FilePassthroughFder.
func (p *passedBlob) PassthroughFd() (int, bool) { return int(p.file.Fd()), true } //nolint:gosec // a file descriptor is small
