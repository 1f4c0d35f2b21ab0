package fs

import (
	"context"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/resolver"
)

// A tagsNode is a repository's _tags: a link for each tag.
//
// Listing asks for the names only, looking up one tag or reading its link
// resolves that one. Who goes on to the next has those that follow asked for
// (tagsahead.go).
type tagsNode struct {
	directoryNode
	repo *repository
}

var (
	_ fusefs.NodeGetattrer      = (*tagsNode)(nil)
	_ fusefs.NodeLookuper       = (*tagsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*tagsNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *tagsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if !resolver.ValidTag(name) {
		return nil, syscall.ENOENT
	}
	n.tree.ahead.wants(n.repo, name)
	if _, err := n.repo.resolve(ctx, name); err != nil {
		return nil, n.tree.errno(ctx, "look up tag", n.repo.reference(name), err)
	}
	return n.listed(ctx, name, out)
}

// listed makes the link of a tag that is known to be there.
func (n *tagsNode) listed(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	n.tree.symlink(&out.Attr, tagLinkSize, time.Time{})
	keep(out, n.tree.tagTTL)
	t := &tagNode{node: node{tree: n.tree}, repo: n.repo, tag: name}
	return n.NewInode(ctx, t, n.repo.identity(syscall.S_IFLNK, "tag", name)), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler. The tags of a repository that
// hasn't given anything yet are asked for at once: if there is none it can't be
// opened.
func (n *tagsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	met, known := n.repo.metTags()
	d := &directory{tree: n.tree, listed: n.listed}
	d.list = func(ctx context.Context, emit func([]fuse.DirEntry) error) error {
		return n.list(ctx, met, known, emit)
	}
	d.fail = func(err error) syscall.Errno {
		return n.tree.errno(n.tree.ctx, "list tags", n.repo.name, err)
	}
	if !known {
		if errno := d.open(ctx); errno != 0 {
			return nil, 0, errno
		}
	}
	return lookupDirectory{d}, 0, 0
}

// list lists the tags that the registry has. Where it has no list of a repository
// that is known to be there, those are listed that were met; where it can't be
// reached those, and those that are noted, and the list ends with that.
func (n *tagsNode) list(ctx context.Context, met []string, known bool, emit func([]fuse.DirEntry) error) error {
	begun := false
	listing := n.tree.ahead.begin(n.repo)
	err := n.repo.source.Tags(ctx, func(tags []string) error {
		n.tree.ahead.add(listing, tags)
		page := n.links(tags)
		if !begun {
			page = append(dots(n.EmbeddedInode()), page...)
		}
		begun = true
		return emit(page)
	})
	switch {
	case begun, err != nil && ctx.Err() != nil:
		return err
	case gone(err):
		for tag := range n.tree.remembered.tags(ctx, n.repo) {
			met, known = append(met, tag), true
		}
		slices.Sort(met)
		met = slices.Compact(met)
	case err != nil && known:
		n.tree.complaints.warn("list tags: those that were met are listed", n.repo.name, err)
		err = nil
	}
	if err != nil && !known {
		return err
	}
	if stopped := emit(append(dots(n.EmbeddedInode()), n.links(met)...)); stopped != nil {
		return stopped
	}
	return err
}

func (n *tagsNode) links(tags []string) []fuse.DirEntry {
	page := make([]fuse.DirEntry, len(tags))
	for i, tag := range tags {
		page[i] = entry(tag, n.repo.identity(syscall.S_IFLNK, "tag", tag))
	}
	return page
}

// A tagNode is a tag: a symbolic link to what it stands for now.
type tagNode struct {
	node
	repo *repository
	tag  string
}

var (
	_ fusefs.NodeGetattrer  = (*tagNode)(nil)
	_ fusefs.NodeReadlinker = (*tagNode)(nil)
)

// tagTarget is where a tag's link leads, from _tags.
func tagTarget(d digest.Digest) string {
	return "../_manifests/" + digestPath(d)
}

// tagLinkSize is the length of a tag's target if its digest is a sha256, as
// all but a few are: telling the true one would cost a request.
var tagLinkSize = len(tagTarget(digest.FromString("")))

// Getattr implements fusefs.NodeGetattrer.
func (n *tagNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.symlink(&out.Attr, tagLinkSize, time.Time{})
	out.SetTimeout(n.tree.tagTTL)
	return 0
}

// Readlink implements fusefs.NodeReadlinker.
func (n *tagNode) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	n.tree.ahead.wants(n.repo, n.tag)
	d, err := n.repo.resolve(ctx, n.tag)
	if err != nil {
		return nil, n.tree.errno(ctx, "resolve tag", n.repo.reference(n.tag), err)
	}
	return []byte(tagTarget(d)), 0
}
