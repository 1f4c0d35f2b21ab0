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

// A layoutBlobsNode is layout/blobs: a directory for each digest algorithm.
type layoutBlobsNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*layoutBlobsNode)(nil)
	_ fusefs.NodeLookuper       = (*layoutBlobsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layoutBlobsNode)(nil)
)

// algorithms are those of the members' digests.
func (c *closure) algorithms() []digest.Algorithm {
	var list []digest.Algorithm
	for _, m := range c.members {
		if a := m.digest.Algorithm(); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func (n *layoutBlobsNode) identity(a digest.Algorithm) fusefs.StableAttr {
	return n.repo.identity(syscall.S_IFDIR, "layout blobs", n.digest.String(), a.String())
}

// Lookup implements fusefs.NodeLookuper.
func (n *layoutBlobsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, errno
	}
	a := digest.Algorithm(name)
	if !slices.Contains(c.algorithms(), a) {
		return nil, syscall.ENOENT
	}
	return n.newPart(ctx, &layoutDigestsNode{n.below(), a}, n.identity(a), c.keepFor(), out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutBlobsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for _, a := range c.algorithms() {
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

func (n *layoutDigestsNode) identity(m member) fusefs.StableAttr {
	if m.document { // a registry doesn't give it as a blob
		return n.repo.identity(syscall.S_IFREG, "document", m.digest.String())
	}
	return n.repo.blobIdentity(m.digest, m.size)
}

// Lookup implements fusefs.NodeLookuper.
func (n *layoutDigestsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d, err := parseDigest(n.algorithm.String() + ":" + name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, errno
	}
	m, ok := c.find(d)
	switch {
	case !ok:
		return nil, syscall.ENOENT
	case !m.document:
		return n.newBlob(ctx, n.repo, m.descriptor(), time.Time{}, n.identity(m), out), 0
	}
	document := &documentNode{node: node{tree: n.tree}, repo: n.repo, digest: d, size: m.size}
	n.tree.file(&out.Attr, m.size, time.Time{})
	keep(out, forever)
	return n.NewInode(ctx, document, n.identity(m)), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutDigestsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for _, m := range c.members {
		if m.digest.Algorithm() == n.algorithm {
			list = append(list, entry(m.digest.Encoded(), n.identity(m)))
		}
	}
	return n.openChanging(list...)
}
