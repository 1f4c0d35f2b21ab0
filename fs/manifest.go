package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
)

// A manifestNode is the directory of a manifest or an index. It never changes.
//
// It holds no more than what attributes need: the rest is the artifact, which
// is read again if it was forgotten.
type manifestNode struct {
	node
	repo    *repository
	digest  digest.Digest
	created time.Time
}

var (
	_ fusefs.NodeGetattrer      = (*manifestNode)(nil)
	_ fusefs.NodeLookuper       = (*manifestNode)(nil)
	_ fusefs.NodeOpendirHandler = (*manifestNode)(nil)
	_ fusefs.NodeGetxattrer     = (*manifestNode)(nil)
	_ fusefs.NodeListxattrer    = (*manifestNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *manifestNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.directory(&out.Attr, n.created)
	out.SetTimeout(forever)
	return 0
}

// artifact is what the directory shows.
func (n *manifestNode) artifact(ctx context.Context) (*artifact, syscall.Errno) {
	a, err := n.repo.artifact(ctx, n.digest)
	return a, n.tree.errno(ctx, "read manifest", n.repo.reference(n.digest.String()), err)
}

// part is the identity of a part of the manifest.
func (n *manifestNode) part(mode uint32, name string) fusefs.StableAttr {
	return n.repo.identity(mode, "part", n.digest.String(), name)
}

// Lookup implements fusefs.NodeLookuper.
func (n *manifestNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, errno
	}
	switch {
	case name == "manifest.json":
		d := &documentNode{node: node{tree: n.tree}, repo: n.repo, digest: n.digest, size: a.Size, created: a.created}
		n.tree.file(&out.Attr, a.Size, a.created)
		keep(out, forever)
		return n.NewInode(ctx, d, n.part(syscall.S_IFREG, name)), 0
	case a.Config != nil && name == configName(a.Config.MediaType):
		return n.newBlob(ctx, n.repo, *a.Config, a.created, n.part(syscall.S_IFREG, name), out), 0
	case a.IsIndex():
		return nil, syscall.ENOENT
	case name == "files":
		f := &filesNode{node: node{tree: n.tree}, repo: n.repo, digest: n.digest, created: a.created}
		n.tree.directory(&out.Attr, a.created)
		keep(out, forever)
		return n.NewInode(ctx, f, n.part(syscall.S_IFDIR, name)), 0
	case name == "layers":
		l := &layersNode{node: node{tree: n.tree}, repo: n.repo, digest: n.digest, created: a.created}
		n.tree.directory(&out.Attr, a.created)
		keep(out, forever)
		return n.NewInode(ctx, l, n.part(syscall.S_IFDIR, name)), 0
	case name == "rootfs" && a.isImage():
		return n.newView(ctx, a.rootfs(), n.part(syscall.S_IFDIR, name), out), 0
	}
	return nil, syscall.ENOENT
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *manifestNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	list := []fuse.DirEntry{entry("manifest.json", n.part(syscall.S_IFREG, "manifest.json"))}
	if a.Config != nil {
		name := configName(a.Config.MediaType)
		list = append(list, entry(name, n.part(syscall.S_IFREG, name)))
	}
	if !a.IsIndex() {
		list = append(list, entry("files", n.part(syscall.S_IFDIR, "files")), entry("layers", n.part(syscall.S_IFDIR, "layers")))
	}
	if a.isImage() {
		list = append(list, entry("rootfs", n.part(syscall.S_IFDIR, "rootfs")))
	}
	return n.openImmutable(list...)
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *manifestNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return 0, errno
	}
	return a.xattrs().get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *manifestNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return 0, errno
	}
	return a.xattrs().list(dest)
}
