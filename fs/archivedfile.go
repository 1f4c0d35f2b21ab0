package fs

import (
	"context"
	"fmt"
	"path"
	"sync/atomic"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
)

// An archivedNode is a file that a layer holds as an archive of it. Its size is
// what the manifest says, so that the archive is opened when the file is.
type archivedNode struct {
	node
	view  *view // of the layer; its path is the file's
	size  int64
	attrs xattrs
	id    fusefs.StableAttr     // of the inode, were it never spent
	pages atomic.Pointer[pages] // see entryNode
}

var (
	_ fusefs.NodeGetattrer   = (*archivedNode)(nil)
	_ fusefs.NodeOpener      = (*archivedNode)(nil)
	_ fusefs.NodeGetxattrer  = (*archivedNode)(nil)
	_ fusefs.NodeListxattrer = (*archivedNode)(nil)
)

// newArchived makes the inode of a file in the archive that a view is of. Its
// extended attributes are the layer's annotations; digest and size are the
// archive's, and so not among them.
func (n *node) newArchived(ctx context.Context, v *view, size int64, about map[string]string, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	n.tree.file(&out.Attr, size, v.created)
	keep(out, forever)
	a := &archivedNode{node: node{tree: n.tree}, view: v, size: size, attrs: annotations(about), id: id}
	return n.NewInode(ctx, a, n.tree.spent.successor(id))
}

// Getattr implements fusefs.NodeGetattrer.
func (n *archivedNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.file(&out.Attr, n.size, n.view.created)
	out.SetTimeout(forever)
	return 0
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *archivedNode) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return n.attrs.get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *archivedNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.attrs.list(dest)
}

// Open implements fusefs.NodeOpener. A file that isn't in the archive, or has
// another size there, is refused: the kernel has been told the manifest's.
func (n *archivedNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	t, entry, err := n.find(ctx)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open file of an archive", n.view.reference()+" "+n.view.path, err)
	}
	return openEntry(ctx, &n.node, n.view, t, entry, n.id, &n.pages)
}

// find is the file in the archive, once all of that is known: the inode must not
// show one entry now and another of that name later.
func (n *archivedNode) find(ctx context.Context) (*images.Tree, archive.Node, error) {
	t, err := n.view.tree(ctx)
	if err != nil {
		return nil, archive.Node{}, err
	}
	entry, ok := fileIn(t.Tree, n.view.path)
	if !ok {
		return nil, archive.Node{}, fmt.Errorf("%w: the archive has no such file", archive.ErrFormat)
	}
	if got := entry.Attr().Size; got != n.size {
		return nil, archive.Node{}, fmt.Errorf("%w: it has %d bytes in the archive, %d in the manifest", archive.ErrFormat, got, n.size)
	}
	return t, entry, nil
}

// fileIn is the file of a path in an archive: what is at its path, else what has
// its name at the root, else the only file that there is.
func fileIn(tree *archive.Tree, at string) (archive.Node, bool) {
	for _, name := range []string{at, path.Base(at)} {
		if entry, ok := tree.At(name); ok && entry.Type() == archive.TypeRegular {
			return entry, true
		}
	}
	files := firstFiles(tree.Root(), nil)
	if len(files) != 1 {
		return archive.Node{}, false
	}
	return files[0], true
}

// firstFiles appends the regular files below a directory, until there are two. An
// archive bounds how deep its directories are.
func firstFiles(dir archive.Node, files []archive.Node) []archive.Node {
	for child := range dir.Entries("") {
		switch child.Type() {
		case archive.TypeRegular:
			files = append(files, child)
		case archive.TypeDir:
			files = firstFiles(child, files)
		}
		if len(files) > 1 {
			break
		}
	}
	return files
}
