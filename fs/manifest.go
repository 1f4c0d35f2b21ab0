package fs

import (
	"context"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// A manifestNode is the directory of a manifest or an index. It never changes, and
// manifestNames say what is in it.
type manifestNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*manifestNode)(nil)
	_ fusefs.NodeLookuper       = (*manifestNode)(nil)
	_ fusefs.NodeOpendirHandler = (*manifestNode)(nil)
	_ fusefs.NodeGetxattrer     = (*manifestNode)(nil)
	_ fusefs.NodeListxattrer    = (*manifestNode)(nil)
)

// A manifestName is a name that a manifest's directory may have.
type manifestName struct {
	name string
	mode uint32 // its type
	// in tells whether the directory has it.
	in func(a *repositoryArtifact) bool
	// ofHost is what is an image's or an artifact's: an index has it if its manifest
	// for the host has, as a link to there.
	ofHost bool
	// asks, if not nil, tells whether to make the node takes requests: a listing
	// doesn't do it then.
	asks func(a *repositoryArtifact) bool
	// node makes the inode of what isn't a link.
	node newInode
	// ahead, if not nil, begins to ask for what a look into it needs when the manifest
	// has just come.
	ahead func(*repository, *resolver.Manifest)
}

// A newInode makes the inode of something in a manifest's directory.
type newInode func(n *manifestNode, ctx context.Context, a *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno)

// manifestNames are all of them, in the order in which they are listed.
var manifestNames = []manifestName{
	{name: "manifest.json", mode: syscall.S_IFREG, in: always, node: (*manifestNode).newDocument},
	{name: "platforms", mode: syscall.S_IFDIR, in: isIndex, node: directoryOf(func(p *manifestPart) fusefs.InodeEmbedder { return &platformsNode{p.below()} })},
	{name: "config.json", mode: syscall.S_IFREG, in: hasConfig("config.json"), ofHost: true, node: (*manifestNode).newConfig},
	{name: "config", mode: syscall.S_IFREG, in: hasConfig("config"), ofHost: true, node: (*manifestNode).newConfig},
	{name: "files", mode: syscall.S_IFDIR, in: always, ofHost: true, node: (*manifestNode).newFiles},
	{name: "layers", mode: syscall.S_IFDIR, in: always, ofHost: true, node: directoryOf(func(p *manifestPart) fusefs.InodeEmbedder { return &layersNode{p.below()} })},
	{name: "rootfs", mode: syscall.S_IFDIR, in: hasRootFS, ofHost: true, node: (*manifestNode).newRootFS, ahead: (*repository).imageAhead},
	{name: "referrers", mode: syscall.S_IFDIR, in: always, node: directoryOf(func(p *manifestPart) fusefs.InodeEmbedder { return &referrersNode{manifestPart: p.below()} })},
	{name: "layout", mode: syscall.S_IFDIR, in: always, node: directoryOf(func(p *manifestPart) fusefs.InodeEmbedder { return &layoutNode{p.below()} })},
	{name: "layout.tar", mode: syscall.S_IFREG, in: always, asks: listsOthers, node: (*manifestNode).layoutTar},
	{name: "subject", mode: syscall.S_IFLNK, in: hasSubject},
}

// findManifestName is the row of a name, nil where there is none.
func findManifestName(name string) *manifestName {
	i := slices.IndexFunc(manifestNames, func(m manifestName) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return &manifestNames[i]
}

func always(*repositoryArtifact) bool { return true }

func isIndex(a *repositoryArtifact) bool { return a.IsIndex() }

func hasRootFS(a *repositoryArtifact) bool { return a.Image }

func hasSubject(a *repositoryArtifact) bool { return a.Subject != nil }

// listsOthers tells whether other manifests belong to what an artifact is.
func listsOthers(a *repositoryArtifact) bool { return isIndex(a) || hasSubject(a) }

func hasConfig(name string) func(*repositoryArtifact) bool {
	return func(a *repositoryArtifact) bool {
		return a.Config != nil && artifact.ConfigName(a.Config.MediaType) == name
	}
}

// beside is the way from here to another manifest of the repository.
func (n *manifestNode) beside(d digest.Digest) string {
	if d.Algorithm() == n.digest.Algorithm() {
		return "../" + d.Encoded()
	}
	return "../../" + digestPath(d)
}

// target is where a name leads that is a link; "" is that it is none. host is
// where the manifest for the host is, of an index.
func (n *manifestNode) target(a *repositoryArtifact, host string, name *manifestName) string {
	switch {
	case name.ofHost && a.IsIndex():
		return host + "/" + name.name
	case name.mode == syscall.S_IFLNK:
		return n.beside(a.Subject.Digest)
	}
	return ""
}

// Getattr implements fusefs.NodeGetattrer.
func (n *manifestNode) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if _, known := n.time.get(); !known && !n.repo.promised(n.digest) {
		_, _ = n.artifact(ctx) // a failure is in the log, and shown to who looks into it
	}
	out.SetTimeout(n.describe(&out.Attr))
	return 0
}

// describe fills the directory's attributes, and tells how long they hold. That it
// is a directory has to cost no request: until the manifest has been read, its time
// is 1970.
func (n *manifestNode) describe(out *fuse.Attr) (valid time.Duration) {
	created, known := n.time.get()
	n.tree.directory(out, created)
	if !known {
		return 0
	}
	return forever
}

// Lookup implements fusefs.NodeLookuper.
func (n *manifestNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	found := findManifestName(name)
	if found == nil {
		return nil, syscall.ENOENT
	}
	var ahead []func(*resolver.Manifest)
	if found.ahead != nil {
		ahead = append(ahead, func(m *resolver.Manifest) { found.ahead(n.repo, m) })
	}
	a, errno := n.artifact(ctx, ahead...)
	if errno != 0 {
		return nil, errno
	}
	of, host := a, ""
	if found.ofHost {
		var err error
		if of, host, err = a.forHost(ctx, ahead...); err != nil {
			return nil, n.tree.errno(ctx, "read manifest of the platform", n.reference(), err)
		}
	}
	if of == nil || !found.in(of) {
		return nil, syscall.ENOENT
	}
	if target := n.target(a, host, found); target != "" {
		return n.link(ctx, name, target, forever, out), 0
	}
	return found.node(n, ctx, a, n.part(found.mode, name), out)
}

// part is the identity of what is neither a link nor has one of its own.
func (n *manifestNode) part(mode uint32, name string) fusefs.StableAttr {
	return n.repo.identity(mode, "part", n.digest.String(), name)
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *manifestNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	ofHost, host, err := a.forHost(ctx)
	if err != nil {
		// The index itself is here: it is shown without the links.
		n.tree.log.Warn("manifest of the platform not read", "reference", n.reference(), "error", err)
	}
	var list []fuse.DirEntry
	for i := range manifestNames {
		name, of := &manifestNames[i], a
		if name.ofHost {
			of = ofHost
		}
		if of == nil || !name.in(of) {
			continue
		}
		id := n.part(name.mode, name.name)
		if target := n.target(a, host, name); target != "" {
			id = n.linkIdentity(name.name, target)
		}
		list = append(list, entry(name.name, id))
	}
	d := n.known(list)
	d.listed = func(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
		if found := findManifestName(name); found != nil && found.asks != nil && found.asks(a) {
			return nil, syscall.EAGAIN // whoever wants it looks it up
		}
		return n.Lookup(ctx, name, out)
	}
	if err != nil {
		return lookupDirectory{d}, 0, 0 // not to be kept
	}
	return lookupDirectory{d}, immutable, 0
}

// directoryOf makes the inode of a directory that needs nothing but the manifest.
func directoryOf(directory func(above *manifestPart) fusefs.InodeEmbedder) newInode {
	return func(n *manifestNode, ctx context.Context, _ *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
		return n.newPart(ctx, directory(&n.manifestPart), id, forever, out), 0
	}
}

func (n *manifestNode) newDocument(ctx context.Context, a *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d := &documentNode{node: node{tree: n.tree}, repo: n.repo, digest: n.digest, size: a.Size, created: a.Created}
	n.tree.file(&out.Attr, a.Size, a.Created)
	keep(out, forever)
	return n.NewInode(ctx, d, id), 0
}

func (n *manifestNode) newConfig(ctx context.Context, a *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.newBlobOf(ctx, a, *a.Config, id, out), 0
}

func (n *manifestNode) newFiles(ctx context.Context, a *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.newFolder(ctx, a, nil, id, out), 0
}

func (n *manifestNode) newRootFS(ctx context.Context, a *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.newView(ctx, a.rootfs(), id, out), 0
}

func (n *manifestNode) layoutTar(ctx context.Context, _ *repositoryArtifact, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.newLayoutTar(ctx, id, out)
}

// xattrs are the directory's: those of the artifact, and who vouches for it.
func (n *manifestNode) xattrs(ctx context.Context, a *repositoryArtifact) xattrs {
	x := a.xattrs()
	if by, err := n.repo.admit(ctx, n.digest); err == nil && by != "" {
		x[verifiedXattr] = by
	}
	return x
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *manifestNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return 0, errno
	}
	return n.xattrs(ctx, a).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *manifestNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return 0, errno
	}
	return n.xattrs(ctx, a).list(dest)
}
