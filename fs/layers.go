package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/artifact"
)

// A layersNode is layers/ of a manifest: every layer in order, raw, and beside
// it, where it is an archive, opened. What the manifest lists that is no layer has a
// number all the same, and no name.
type layersNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*layersNode)(nil)
	_ fusefs.NodeLookuper       = (*layersNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layersNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *layersNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, errno
	}
	// A name begins with its layer's number.
	number, _, raw := strings.Cut(name, "-")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(a.LayerNames) || raw && a.LayerNames[i].Raw != name {
		return nil, syscall.ENOENT
	}
	if !raw {
		opens, err := a.opens(ctx, i)
		if err != nil {
			return nil, n.tree.contentErrno(ctx, "look into layer", n.repo.reference(a.Layers[i].Digest.String()), err)
		}
		if name != a.LayerNames[i].Opened || !opens {
			return nil, syscall.ENOENT
		}
		return n.newView(ctx, a.layerView(i, ""), openedIdentity(n.repo, n.digest, i), out), 0
	}
	return n.newBlobOf(ctx, a, a.Layers[i], layerIdentity(n.repo, n.digest, i), out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layersNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for i, l := range a.LayerNames {
		if l.Raw == "" {
			continue
		}
		list = append(list, entry(l.Raw, layerIdentity(n.repo, n.digest, i)))
		if l.Archive == artifact.IsArchive {
			list = append(list, entry(l.Opened, openedIdentity(n.repo, n.digest, i)))
		}
	}
	return n.openImmutable(list...)
}
