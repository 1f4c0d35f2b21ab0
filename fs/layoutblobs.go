package fs

import (
	"context"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/export"
)

// A layoutBlobsNode is layout/blobs: a directory for each digest algorithm.
type layoutBlobsNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*layoutBlobsNode)(nil)
	_ fusefs.NodeLookuper       = (*layoutBlobsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layoutBlobsNode)(nil)
)

func (n *layoutBlobsNode) identity(a digest.Algorithm) fusefs.StableAttr {
	return n.repo.identity(syscall.S_IFDIR, "layout blobs", n.digest.String(), a.String())
}

// Lookup implements fusefs.NodeLookuper.
func (n *layoutBlobsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, errno
	}
	a := digest.Algorithm(name)
	if !slices.Contains(c.Algorithms(), a) {
		return nil, syscall.ENOENT
	}
	return n.newPart(ctx, &layoutDigestsNode{n.below(), a}, n.identity(a), c.keepFor(), out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutBlobsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for _, a := range c.Algorithms() {
		list = append(list, entry(a.String(), n.identity(a)))
	}
	return n.openChanging(list...)
}

// A layoutDigestsNode is layout/blobs/sha256 (or sha512): a file for each
// document and each blob. A blob's is the same in every layout and in _blobs.
type layoutDigestsNode struct {
	manifestPart
	algorithm digest.Algorithm
}

var (
	_ fusefs.NodeGetattrer      = (*layoutDigestsNode)(nil)
	_ fusefs.NodeLookuper       = (*layoutDigestsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layoutDigestsNode)(nil)
)

func (n *layoutDigestsNode) identity(m export.Member) fusefs.StableAttr {
	if m.Manifest { // a registry doesn't give it as a blob
		return n.repo.identity(syscall.S_IFREG, "document", m.Digest.String())
	}
	return n.repo.blobIdentity(m.Digest, m.Size)
}

// Lookup implements fusefs.NodeLookuper.
func (n *layoutDigestsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d, err := parseDigest(n.algorithm.String() + ":" + name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, errno
	}
	m, ok := c.Find(d)
	switch {
	case !ok:
		return nil, syscall.ENOENT
	case !m.Manifest:
		return n.newBlob(ctx, n.repo, m.Descriptor(), time.Time{}, n.identity(m), out), 0
	}
	document := &documentNode{node: node{tree: n.tree}, repo: n.repo, digest: d, size: m.Size}
	n.tree.file(&out.Attr, m.Size, time.Time{})
	keep(out, forever)
	return n.NewInode(ctx, document, n.identity(m)), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutDigestsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.layout(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for _, m := range c.Members {
		if m.Digest.Algorithm() == n.algorithm {
			list = append(list, entry(m.Digest.Encoded(), n.identity(m)))
		}
	}
	return n.openChanging(list...)
}
