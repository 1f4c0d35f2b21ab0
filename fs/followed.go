package fs

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
)

// A followedNode is the root of a mount that follows a tag. It is laid out as a
// volume of Kubernetes' ConfigMaps is, so that all of it becomes another at once:
//
//	..data -> ..5f05…     the manifest that the tag stands for now, by its digest's hex
//	..5f05…/              its view, which never changes
//	NAME -> ..data/NAME   for each name at the top of that
//
// Of an index the manifest is that for the host, but a layout has all of them. Those
// that were met before are there, too, and not listed: who has something of one open,
// or stands in it, reads on.
//
// What the tag stands for, and for how long, the repository tells, as in _tags. Below
// a manifest's directory all is as in a mount of its digest.
//
// Names that begin with two dots are ours. Where content has one at its top, that is in
// ..data/ and has no link.
type followedNode struct {
	directoryNode
	repo *repository
	tag  string
	view View // that is asked for
	met  *lru.Cache[string, digest.Digest]
}

const (
	// maxFollowed bounds the manifests that are there after the tag has moved on.
	maxFollowed = 1024

	ownPrefix = ".."
	dataName  = ownPrefix + "data"
)

// followedName is the name of a manifest's directory. Digests of two algorithms
// differ in length.
func followedName(d digest.Digest) string { return ownPrefix + d.Encoded() }

var (
	_ fusefs.NodeGetattrer      = (*followedNode)(nil)
	_ fusefs.NodeLookuper       = (*followedNode)(nil)
	_ fusefs.NodeOpendirHandler = (*followedNode)(nil)
)

// followed is the root of a mount that follows a tag: what that stands for when it is
// mounted has to be there.
func (t *tree) followed(ctx context.Context, repo *repository, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	a, err := t.referred(ctx, repo, o.Reference)
	if err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	_, view, err := a.seenAs(ctx, o.View, o.source())
	if err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	t.withoutPassthrough(view)
	n := &followedNode{
		directoryNode: t.directoryNode(), repo: repo, tag: o.Reference, view: o.View,
		met: newLRU[string, digest.Digest](maxFollowed),
	}
	return n, repo.identity(syscall.S_IFDIR, "followed", n.tag), nil
}

// A current is what a tag stands for, as it is shown, and when that is asked again.
type current struct {
	digest digest.Digest
	root   viewRoot
	id     fusefs.StableAttr
	until  time.Time
}

// holds is how long the kernel may keep what goes by the tag.
func (c *current) holds() time.Duration {
	return max(time.Until(c.until), 1) // 0 would be the default
}

// current is what the tag stands for now. It is shown before any link leads to it.
func (n *followedNode) current(ctx context.Context) (*current, syscall.Errno) {
	reference := n.repo.reference(n.tag)
	d, err := n.repo.resolve(ctx, n.tag)
	if err != nil {
		return nil, n.tree.followErrno(ctx, reference, err)
	}
	until := time.Now().Add(n.tree.tags.left(reference))
	c, err := n.shown(ctx, d)
	if err != nil {
		return nil, n.tree.contentErrno(ctx, "follow tag", reference, err)
	}
	c.until = until
	n.met.Add(followedName(c.digest), c.digest)
	return c, 0
}

// shown is what is shown of a manifest.
func (n *followedNode) shown(ctx context.Context, d digest.Digest) (*current, error) {
	a, err := n.repo.artifact(ctx, d)
	if err != nil {
		return nil, err
	}
	a, view, err := a.seenAs(ctx, n.view, n.repo.reference(d.String()))
	if err != nil {
		return nil, err
	}
	c := &current{digest: a.Digest}
	c.root, c.id = a.root(view)
	n.NewInode(ctx, c.root, c.id) // so that it can be looked into
	return c, nil
}

// Lookup implements fusefs.NodeLookuper.
func (n *followedNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if d, ok := n.met.Get(name); ok {
		c, err := n.shown(ctx, d)
		if err != nil {
			return nil, n.tree.contentErrno(ctx, "look up manifest", n.repo.reference(d.String()), err)
		}
		return c.directory(ctx, out)
	}
	c, errno := n.current(ctx)
	if errno != 0 {
		return nil, errno
	}
	switch {
	case name == dataName:
		n.tree.symlink(&out.Attr, followedLinkSize, time.Time{})
		keep(out, c.holds())
		return n.NewInode(ctx, &dataNode{node{tree: n.tree}, n}, n.dataIdentity()), 0
	case name == followedName(c.digest):
		return c.directory(ctx, out)
	case strings.HasPrefix(name, ownPrefix):
		errno = syscall.ENOENT
	default:
		_, errno = c.root.Lookup(ctx, name, &fuse.EntryOut{})
	}
	switch errno {
	case 0:
		return n.link(ctx, name, behindData(name), c.holds(), out), 0
	case syscall.ENOENT:
		out.SetEntryTimeout(c.holds()) // with one that is set the kernel keeps nothing: it asks again
	}
	return nil, errno
}

// directory is the directory of the manifest.
func (c *current) directory(ctx context.Context, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	var attr fuse.AttrOut
	if errno := c.root.Getattr(ctx, nil, &attr); errno != 0 {
		return nil, errno
	}
	out.Attr = attr.Attr
	out.SetAttrTimeout(attr.Timeout())
	out.SetEntryTimeout(forever)
	return c.root.EmbeddedInode(), 0
}

// behindData is where the link of a name leads.
func behindData(name string) string { return dataName + "/" + name }

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *followedNode) OpendirHandle(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.current(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	opened, _, errno := c.root.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	view, ok := opened.(*directory)
	if !ok {
		return nil, 0, syscall.EIO
	}
	d := &directory{tree: n.tree, fail: view.fail}
	d.list = func(ctx context.Context, emit func([]fuse.DirEntry) error) error {
		own := append(dots(n.EmbeddedInode()), entry(dataName, n.dataIdentity()), entry(followedName(c.digest), c.id))
		if err := emit(own); err != nil {
			return err
		}
		return view.list(ctx, func(page []fuse.DirEntry) error { return emit(n.links(page)) })
	}
	d.listed = func(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
		if strings.HasPrefix(name, ownPrefix) {
			return n.Lookup(ctx, name, out)
		}
		return n.link(ctx, name, behindData(name), c.holds(), out), 0
	}
	return lookupDirectory{d}, 0, 0
}

// links are the entries of the links to what a view has at its top.
func (n *followedNode) links(view []fuse.DirEntry) []fuse.DirEntry {
	links := make([]fuse.DirEntry, 0, len(view))
	for _, e := range view {
		switch {
		case e.Name == "." || e.Name == "..":
		case strings.HasPrefix(e.Name, ownPrefix):
			n.tree.complaints.warn("list: without a link, it is in "+dataName, n.repo.reference(n.tag)+" "+e.Name, errOwnName)
		default:
			links = append(links, entry(e.Name, n.linkIdentity(e.Name, behindData(e.Name))))
		}
	}
	return links
}

var errOwnName = errors.New("the name begins with two dots")

// A dataNode is the link to the manifest that the tag stands for.
type dataNode struct {
	node
	of *followedNode
}

var (
	_ fusefs.NodeGetattrer  = (*dataNode)(nil)
	_ fusefs.NodeReadlinker = (*dataNode)(nil)
)

func (n *followedNode) dataIdentity() fusefs.StableAttr {
	return n.repo.identity(syscall.S_IFLNK, "followed", n.tag)
}

// followedLinkSize is as tagLinkSize.
var followedLinkSize = len(followedName(digest.FromString("")))

// Getattr implements fusefs.NodeGetattrer.
func (n *dataNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.symlink(&out.Attr, followedLinkSize, time.Time{})
	out.SetTimeout(n.tree.tagTTL)
	return 0
}

// Readlink implements fusefs.NodeReadlinker. The kernel doesn't keep it.
func (n *dataNode) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	c, errno := n.of.current(ctx)
	if errno != 0 {
		return nil, errno
	}
	return []byte(followedName(c.digest)), 0
}
