package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/resolver"
)

// A manifestsNode is a repository's _manifests: a directory for each digest
// algorithm, and links, not listed, for tags and whole digests.
type manifestsNode struct {
	directoryNode
	repo *repository
}

var (
	_ fusefs.NodeGetattrer      = (*manifestsNode)(nil)
	_ fusefs.NodeLookuper       = (*manifestsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*manifestsNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *manifestsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if slices.Contains(algorithms, name) {
		a := &manifestDigestsNode{directoryNode: n.tree.directoryNode(), repo: n.repo, algorithm: digest.Algorithm(name)}
		return n.newDirectory(ctx, a, n.repo.identity(syscall.S_IFDIR, "manifests", name), time.Time{}, forever, out), 0
	}
	if strings.Contains(name, ":") {
		d, err := parseDigest(name)
		if err != nil {
			return nil, syscall.ENOENT
		}
		if _, err := n.repo.artifact(ctx, d); err != nil {
			return nil, n.tree.errno(ctx, "look up manifest", n.repo.reference(name), err)
		}
		return n.link(ctx, name, digestPath(d), forever, out), 0
	}
	if !resolver.ValidTag(name) {
		return nil, syscall.ENOENT
	}
	if _, err := n.repo.resolve(ctx, name); err != nil {
		return nil, n.tree.errno(ctx, "look up tag", n.repo.reference(name), err)
	}
	return n.link(ctx, name, "../_tags/"+name, n.tree.tagTTL, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *manifestsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if err := n.repo.denied(ctx); err != nil {
		return nil, 0, n.tree.errno(ctx, "list manifests", n.repo.name, err)
	}
	return n.openImmutable(entry("sha256", n.repo.identity(syscall.S_IFDIR, "manifests", "sha256")))
}

// A manifestDigestsNode is _manifests/sha256 (or sha512): a directory for each
// manifest. It lists those that this mount has met, and what a local layout lists.
type manifestDigestsNode struct {
	directoryNode
	repo      *repository
	algorithm digest.Algorithm
}

var (
	_ fusefs.NodeGetattrer      = (*manifestDigestsNode)(nil)
	_ fusefs.NodeLookuper       = (*manifestDigestsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*manifestDigestsNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *manifestDigestsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d, err := parseDigest(n.algorithm.String() + ":" + name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	m := &manifestNode{manifestPart{node: node{tree: n.tree}, repo: n.repo, digest: d, time: &moment{}}}
	var a *repositoryArtifact
	if !n.repo.promised(d) {
		if a, err = n.repo.artifact(ctx, d); err != nil {
			return nil, n.tree.errno(ctx, "look up manifest", n.repo.reference(d.String()), err)
		}
	}
	inode := n.NewInode(ctx, m, n.repo.identity(syscall.S_IFDIR, "manifest", d.String()))
	if before, ok := inode.Operations().(*manifestNode); ok {
		m = before
	}
	if a != nil {
		m.time.settle(a.Created)
	}
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(m.describe(&out.Attr))
	return inode, 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *manifestDigestsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	listed, err := n.repo.listed(ctx)
	if err != nil {
		return nil, 0, n.tree.errno(ctx, "list manifests", n.repo.name, err)
	}
	var list []fuse.DirEntry
	for _, d := range met(listed, n.algorithm) {
		list = append(list, entry(d.Encoded(), n.repo.identity(syscall.S_IFDIR, "manifest", d.String())))
	}
	return n.openChanging(list...)
}
