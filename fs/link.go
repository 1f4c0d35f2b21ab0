package fs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A linkNode is a symbolic link whose target never changes.
type linkNode struct {
	node
	target string
}

var (
	_ fusefs.NodeGetattrer  = (*linkNode)(nil)
	_ fusefs.NodeReadlinker = (*linkNode)(nil)
)

// link makes the inode of a link in the directory parent. Its entry holds for
// the time valid.
func (n *node) link(ctx context.Context, name, target string, valid time.Duration, out *fuse.EntryOut) *fusefs.Inode {
	id := n.linkIdentity(name, target)
	l := &linkNode{node: node{tree: n.tree}, target: target}
	n.tree.symlink(&out.Attr, len(target), time.Time{})
	keep(out, valid)
	return n.NewInode(ctx, l, id)
}

// linkIdentity is the identity of a link in the directory n.
func (n *node) linkIdentity(name, target string) fusefs.StableAttr {
	parent := n.StableAttr()
	return identity(syscall.S_IFLNK, "link", strconv.FormatUint(parent.Ino, 16), strconv.FormatUint(parent.Gen, 16), name, target)
}

// Getattr implements fusefs.NodeGetattrer.
func (l *linkNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.tree.symlink(&out.Attr, len(l.target), time.Time{})
	out.SetTimeout(forever)
	return 0
}

// Readlink implements fusefs.NodeReadlinker.
func (l *linkNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(l.target), 0
}
