package fs

import (
	"context"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// parts are the directories of a repository. No component of a repository's
// name can begin with an underscore (distribution-spec, "Pulling manifests").
var parts = []string{"_tags", "_manifests", "_blobs"}

// newRepositoryPart makes the inode of one of the parts in the directory n,
// which the kernel may keep for the time valid.
func (n *node) newRepositoryPart(ctx context.Context, r *repository, name string, valid time.Duration, out *fuse.EntryOut) *fusefs.Inode {
	var part fusefs.InodeEmbedder
	switch name {
	case "_tags":
		part = &tagsNode{directoryNode: n.tree.directoryNode(), repo: r}
	case "_manifests":
		part = &manifestsNode{directoryNode: n.tree.directoryNode(), repo: r}
	default:
		part = &blobsNode{directoryNode: n.tree.directoryNode(), repo: r}
	}
	return n.newDirectory(ctx, part, partIdentity(r.name, name), time.Time{}, valid, out)
}
