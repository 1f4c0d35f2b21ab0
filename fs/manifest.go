package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/artifact"
)

// A manifestNode is the directory of a manifest or an index. It never changes.
type manifestNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*manifestNode)(nil)
	_ fusefs.NodeLookuper       = (*manifestNode)(nil)
	_ fusefs.NodeOpendirHandler = (*manifestNode)(nil)
	_ fusefs.NodeGetxattrer     = (*manifestNode)(nil)
	_ fusefs.NodeListxattrer    = (*manifestNode)(nil)
)

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
		d := &documentNode{node: node{tree: n.tree}, repo: n.repo, digest: n.digest, size: a.Size, created: a.Created}
		n.tree.file(&out.Attr, a.Size, a.Created)
		keep(out, forever)
		return n.NewInode(ctx, d, n.part(syscall.S_IFREG, name)), 0
	case name == "referrers":
		return n.newPart(ctx, &referrersNode{manifestPart: n.below()}, n.part(syscall.S_IFDIR, name), forever, out), 0
	case name == "layout":
		return n.newPart(ctx, &layoutNode{n.below()}, n.part(syscall.S_IFDIR, name), forever, out), 0
	case name == "layout.tar":
		return n.newLayoutTar(ctx, n.part(syscall.S_IFREG, name), out)
	case name == "subject" && a.Subject != nil:
		return n.link(ctx, name, n.beside(a.Subject.Digest), forever, out), 0
	case a.Config != nil && name == artifact.ConfigName(a.Config.MediaType):
		return n.newBlob(ctx, n.repo, *a.Config, a.Created, n.part(syscall.S_IFREG, name), out), 0
	case a.IsIndex():
		return n.lookupInIndex(ctx, a, name, out)
	case name == "files" && a.ModelKit:
		return n.newView(ctx, a.layerView(allLayers, ""), n.part(syscall.S_IFDIR, name), out), 0
	case name == "files":
		return n.newPart(ctx, &filesNode{manifestPart: n.below()}, n.part(syscall.S_IFDIR, name), forever, out), 0
	case name == "layers":
		return n.newPart(ctx, &layersNode{n.below()}, n.part(syscall.S_IFDIR, name), forever, out), 0
	case name == "rootfs" && a.Image:
		return n.newView(ctx, a.rootfs(), n.part(syscall.S_IFDIR, name), out), 0
	}
	return nil, syscall.ENOENT
}

// beside is the way from here to another manifest of the repository.
func (n *manifestNode) beside(d digest.Digest) string {
	if d.Algorithm() == n.digest.Algorithm() {
		return "../" + d.Encoded()
	}
	return "../../" + digestPath(d)
}

// lookupInIndex looks up what only an index has: its platforms, and links to
// what the manifest for the host has.
func (n *manifestNode) lookupInIndex(ctx context.Context, a *repositoryArtifact, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if name == "platforms" {
		return n.newPart(ctx, &platformsNode{n.below()}, n.part(syscall.S_IFDIR, name), forever, out), 0
	}
	if !slices.Contains(indexLinks, name) {
		return nil, syscall.ENOENT
	}
	names, at, err := a.parts(ctx)
	if err != nil {
		return nil, n.tree.errno(ctx, "read manifest of the platform", n.reference(), err)
	}
	if !slices.Contains(names, name) {
		return nil, syscall.ENOENT
	}
	return n.link(ctx, name, at+"/"+name, forever, out), 0
}

// indexLinks are the names that may be links in an index.
var indexLinks = []string{"config.json", "config", "files", "layers", "rootfs"}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *manifestNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	names, at, err := a.parts(ctx)
	if err != nil {
		// The index itself is here: it is shown without the links.
		n.tree.log.Warn("manifest of the platform not read", "reference", n.reference(), "error", err)
	}
	list := []fuse.DirEntry{entry("manifest.json", n.part(syscall.S_IFREG, "manifest.json"))}
	if a.IsIndex() {
		list = append(list, entry("platforms", n.part(syscall.S_IFDIR, "platforms")))
	}
	for _, name := range names {
		id := n.part(syscall.S_IFDIR, name)
		switch {
		case a.IsIndex():
			id = n.linkIdentity(name, at+"/"+name)
		case strings.HasPrefix(name, "config"):
			id = n.part(syscall.S_IFREG, name)
		}
		list = append(list, entry(name, id))
	}
	list = append(list,
		entry("referrers", n.part(syscall.S_IFDIR, "referrers")),
		entry("layout", n.part(syscall.S_IFDIR, "layout")),
		entry("layout.tar", n.part(syscall.S_IFREG, "layout.tar")))
	if a.Subject != nil {
		list = append(list, entry("subject", n.linkIdentity("subject", n.beside(a.Subject.Digest))))
	}
	d := n.known(list)
	d.listed = func(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
		if name == "layout.tar" && (a.IsIndex() || a.Subject != nil) {
			return nil, syscall.EAGAIN // its size takes requests: whoever wants it looks it up
		}
		return n.Lookup(ctx, name, out)
	}
	if err != nil {
		return lookupDirectory{d}, 0, 0 // not to be kept
	}
	return lookupDirectory{d}, immutable, 0
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
