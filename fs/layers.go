package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
)

// A layersNode is layers/ of a manifest: every layer in order, raw.
type layersNode struct {
	node
	repo    *repository
	digest  digest.Digest
	created time.Time
}

var (
	_ fusefs.NodeGetattrer      = (*layersNode)(nil)
	_ fusefs.NodeLookuper       = (*layersNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layersNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *layersNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.directory(&out.Attr, n.created)
	out.SetTimeout(forever)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (n *layersNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, err := n.repo.artifact(ctx, n.digest)
	if err != nil {
		return nil, n.tree.errno(ctx, "read manifest", n.repo.reference(n.digest.String()), err)
	}
	// A name begins with its layer's number.
	number, _, _ := strings.Cut(name, "-")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(a.layers) || a.layers[i].name != name {
		return nil, syscall.ENOENT
	}
	return n.newBlob(ctx, n.repo, a.layers[i].desc, a.created, layerIdentity(n.repo, n.digest, i), out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layersNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, err := n.repo.artifact(ctx, n.digest)
	if err != nil {
		return nil, 0, n.tree.errno(ctx, "read manifest", n.repo.reference(n.digest.String()), err)
	}
	list := make([]fuse.DirEntry, len(a.layers))
	for i, l := range a.layers {
		list[i] = entry(l.name, layerIdentity(n.repo, n.digest, i))
	}
	return n.openImmutable(list...)
}
