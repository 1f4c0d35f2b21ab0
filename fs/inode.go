package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A node is what every kind of node is made of.
type node struct {
	fusefs.Inode
	tree *tree
}

var _ fusefs.NodeAccesser = (*node)(nil)

// How long the kernel may keep what it was told. A digest always means the
// same bytes; names are looked up again after the tags' time to live.
const (
	forever     = 365 * 24 * time.Hour
	maxNegative = 5 * time.Second
)

// readOnly is how every file is opened: nothing is ever written, so that closing
// one needs no request.
const readOnly = fuse.FOPEN_NOFLUSH

// Statfs tells the longest name, which programs ask for before they build
// paths. There is no meaningful number of blocks.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize = 4096
	out.NameLen = 255
	return 0
}

// Masks of access(2).
const (
	mayExecute = 1
	mayWrite   = 2
)

// Access implements fusefs.NodeAccesser, for access(2), chdir(2) and chroot(2), as
// open(2) and readdir(2) are answered: who reaches the mount may read and enter all
// of it, whatever mode and owner an archive gives a file, and may execute what has
// an x for anybody, as the kernel has it for execve(2). go-fuse would go by the modes.
// With the option default_permissions the kernel goes by them for all of these, and
// asks nobody.
func (n *node) Access(ctx context.Context, mask uint32) syscall.Errno {
	inode := n.EmbeddedInode()
	switch {
	case mask&mayWrite != 0:
		return syscall.EROFS
	case mask&mayExecute == 0 || inode.StableAttr().Mode != syscall.S_IFREG:
		return 0
	}
	file, ok := inode.Operations().(fusefs.NodeGetattrer)
	if !ok {
		return syscall.EACCES
	}
	var out fuse.AttrOut
	if errno := file.Getattr(ctx, nil, &out); errno != 0 {
		return errno
	}
	if out.Mode&0o111 == 0 {
		return syscall.EACCES
	}
	return 0
}

// directory fills the attributes of a directory. Its link count is 1, which is no
// count: find(1) and fts(3) then look for directories in it however many there are.
func (t *tree) directory(out *fuse.Attr, modified time.Time) {
	t.attributes(out, syscall.S_IFDIR|0o555, 0, modified)
}

// file fills the attributes of a file.
func (t *tree) file(out *fuse.Attr, size int64, modified time.Time) {
	t.attributes(out, syscall.S_IFREG|0o444, size, modified)
}

// symlink fills the attributes of a symbolic link. A link's size is its
// target's length (POSIX).
func (t *tree) symlink(out *fuse.Attr, target int, modified time.Time) {
	t.attributes(out, syscall.S_IFLNK|0o777, int64(target), modified)
}

func (t *tree) attributes(out *fuse.Attr, mode uint32, size int64, modified time.Time) {
	out.Mode = mode
	out.Size = uint64(max(size, 0))
	out.Blocks = (out.Size + 511) / 512
	out.Nlink = 1
	out.Owner = t.owner
	if modified.IsZero() {
		modified = time.Unix(0, 0)
	}
	out.SetTimes(&modified, &modified, &modified)
}

// keep tells the kernel how long it may keep an entry and its attributes.
func keep(out *fuse.EntryOut, d time.Duration) {
	out.SetEntryTimeout(d)
	out.SetAttrTimeout(d)
}

// A directoryNode is what the directories above manifests and blobs are made of:
// of those nothing is told but that they are there.
type directoryNode struct{ node }

// Getattr implements fusefs.NodeGetattrer.
func (n *directoryNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.directory(&out.Attr, time.Time{})
	out.SetTimeout(forever)
	return 0
}

// directoryNode is what a directory in this tree is made of.
func (t *tree) directoryNode() directoryNode { return directoryNode{node{tree: t}} }

// newDirectory makes the inode of a directory in n, which the kernel may keep for
// the time valid.
func (n *node) newDirectory(ctx context.Context, child fusefs.InodeEmbedder, id fusefs.StableAttr, modified time.Time, valid time.Duration, out *fuse.EntryOut) *fusefs.Inode {
	n.tree.directory(&out.Attr, modified)
	keep(out, valid)
	return n.NewInode(ctx, child, id)
}
