package fs

import (
	"context"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
)

// A blobsNode is a repository's _blobs: a directory for each digest algorithm,
// and links, not listed, for whole digests.
type blobsNode struct {
	directoryNode
	repo *repository
}

var (
	_ fusefs.NodeGetattrer      = (*blobsNode)(nil)
	_ fusefs.NodeLookuper       = (*blobsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*blobsNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *blobsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if slices.Contains(algorithms, name) {
		a := &blobDigestsNode{directoryNode: n.tree.directoryNode(), repo: n.repo, algorithm: digest.Algorithm(name)}
		return n.newDirectory(ctx, a, n.repo.identity(syscall.S_IFDIR, "blobs", name), time.Time{}, forever, out), 0
	}
	d, err := parseDigest(name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	if _, _, err := n.repo.blob(ctx, d); err != nil {
		return nil, n.tree.errno(ctx, "look up blob", n.repo.reference(name), err)
	}
	return n.link(ctx, name, digestPath(d), forever, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *blobsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if err := n.repo.denied(ctx); err != nil {
		return nil, 0, n.tree.errno(ctx, "list blobs", n.repo.name, err)
	}
	return n.openImmutable(entry("sha256", n.repo.identity(syscall.S_IFDIR, "blobs", "sha256")))
}

// A blobDigestsNode is _blobs/sha256 (or sha512): a file for each blob. It
// lists those that this mount has met.
type blobDigestsNode struct {
	directoryNode
	repo      *repository
	algorithm digest.Algorithm
}

var (
	_ fusefs.NodeGetattrer      = (*blobDigestsNode)(nil)
	_ fusefs.NodeLookuper       = (*blobDigestsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*blobDigestsNode)(nil)
)

// Lookup implements fusefs.NodeLookuper.
func (n *blobDigestsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d, err := parseDigest(n.algorithm.String() + ":" + name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	desc, hint, err := n.repo.blob(ctx, d)
	if err != nil {
		return nil, n.tree.errno(ctx, "look up blob", n.repo.reference(d.String()), err)
	}
	id := n.repo.blobIdentity(d, desc.Size)
	if hint {
		return n.newHintedBlob(ctx, n.repo, desc, id, out), 0
	}
	return n.newBlob(ctx, n.repo, desc, time.Time{}, id, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *blobDigestsNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	var list []fuse.DirEntry
	for _, d := range met(n.repo.blobs.Keys(), n.algorithm) {
		if b, ok := n.repo.blobs.Peek(d); ok {
			list = append(list, entry(d.Encoded(), n.repo.blobIdentity(d, b.Size)))
		}
	}
	return n.openChanging(list...)
}
