package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A localNode is the root of a mount of a local OCI image layout: the parts of
// a repository that has no name.
type localNode struct {
	directoryNode
	repo *repository
}

var (
	_ fusefs.NodeGetattrer      = (*localNode)(nil)
	_ fusefs.NodeLookuper       = (*localNode)(nil)
	_ fusefs.NodeOpendirHandler = (*localNode)(nil)
)

// localRoot is the root of a mount of a layout, or of an artifact in it.
func (t *tree) localRoot(ctx context.Context, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	path := o.Layout.Path()
	repo := newRepository(t, o.Layout, path, path)
	repo.local = true
	if o.Reference != "" {
		return t.pinned(ctx, repo, o)
	}
	return &localNode{directoryNode: t.directoryNode(), repo: repo}, repo.identity(syscall.S_IFDIR, "local"), nil
}

// Lookup implements fusefs.NodeLookuper.
func (n *localNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if !slices.Contains(parts, name) {
		return nil, syscall.ENOENT
	}
	return n.newRepositoryPart(ctx, n.repo, name, forever, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *localNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	list := make([]fuse.DirEntry, len(parts))
	for i, part := range parts {
		list[i] = entry(part, partIdentity(n.repo.name, part))
	}
	return n.openImmutable(list...)
}
