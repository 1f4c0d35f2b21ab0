package fs

import (
	"context"
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

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *tagsNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	d := &directory{tree: n.tree, list: n.list, listed: n.listed}
	d.fail = func(err error) syscall.Errno {
		return n.tree.errno(n.tree.ctx, "list tags", n.repo.name, err)
	}
	return lookupDirectory{d}, 0, 0
}

func (n *tagsNode) list(ctx context.Context, emit func([]fuse.DirEntry) error) error {
	if err := emit(dots(n.EmbeddedInode())); err != nil {
		return err
	}
	listing := n.tree.ahead.begin(n.repo)
	return n.repo.source.Tags(ctx, func(tags []string) error {
		n.tree.ahead.add(listing, tags)
		page := make([]fuse.DirEntry, len(tags))
		for i, tag := range tags {
			page[i] = entry(tag, n.repo.identity(syscall.S_IFLNK, "tag", tag))
		}
		return emit(page)
	})
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
