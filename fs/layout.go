package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layoutNode is layout/ of a manifest: an OCI image layout of what belongs to
// it (package export says what that is). Its blobs are files by digest; no blob is
// fetched to list them.
type layoutNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*layoutNode)(nil)
	_ fusefs.NodeLookuper       = (*layoutNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layoutNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *layoutNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if name == ocispec.ImageBlobsDir {
		return n.newPart(ctx, &layoutBlobsNode{n.below()}, n.part(name), forever, out), 0
	}
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, errno
	}
	for _, f := range c.Files {
		if f.Name != name {
			continue
		}
		n.tree.file(&out.Attr, int64(len(f.Content)), n.created())
		keep(out, c.keepFor())
		file := &layoutFileNode{node: node{tree: n.tree}, content: f.Content, modified: n.created()}
		return n.NewInode(ctx, file, n.part(name)), 0
	}
	return nil, syscall.ENOENT
}

// part is the identity of an entry.
func (n *layoutNode) part(name string) fusefs.StableAttr {
	mode := uint32(syscall.S_IFREG)
	if name == ocispec.ImageBlobsDir {
		mode = syscall.S_IFDIR
	}
	return n.repo.identity(mode, "layout", n.digest.String(), name)
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	list := []fuse.DirEntry{entry(ocispec.ImageBlobsDir, n.part(ocispec.ImageBlobsDir))}
	for _, f := range c.Files {
		list = append(list, entry(f.Name, n.part(f.Name)))
	}
	if !c.until.IsZero() {
		return n.openChanging(list...)
	}
	return n.openImmutable(list...)
}
