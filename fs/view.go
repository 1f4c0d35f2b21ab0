package fs

import (
	"context"
	"path"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
)

// A view is a directory that shows a tree of archives: an image's root file
// system, or a layer. The tree is opened when somebody looks into it, not when
// it is listed.
type view struct {
	imageLayers
	path    string    // of the directory that is shown, in the tree
	alone   bool      // it is shown only if there is nothing outside of it
	created time.Time // shown until the tree is open
}

func (v *view) reference() string { return v.repo.reference(v.manifest.String()) }

// root is the directory of the tree that the view shows. A tree that lacks it,
// or of which it would hide something that it must not, is shown from its own
// root on.
func (v *view) root(t *images.Tree) archive.Node {
	if n, ok := t.At(v.path); ok && n.Type() == archive.TypeDir && (!v.alone || alone(n)) {
		return n
	}
	return t.Root()
}

// known is the view's tree if it takes no request to have it, nil otherwise.
func (v *view) known(ctx context.Context) *images.Tree {
	if !v.repo.tree.artifacts.has(v.reference()) {
		return nil // what the image is made of would have to be asked for
	}
	return v.image().Known(ctx)
}

// alone tells whether there is nothing in a tree outside of a directory.
func alone(dir archive.Node) bool {
	way := dir.Tree().Root()
	for way.Number() != dir.Number() {
		count := 0
		for child := range way.Entries("") {
			if count++; count > 1 {
				return false
			}
			way = child
		}
	}
	return true
}

// keepFor is how long the kernel may keep what a tree says: one that may turn out
// to be another is asked again.
func keepFor(t *images.Tree) time.Duration {
	if t.Provisional() {
		return time.Second
	}
	return forever
}

// A viewNode is the directory that a view shows.
type viewNode struct {
	node
	view *view
}

var (
	_ fusefs.NodeGetattrer      = (*viewNode)(nil)
	_ fusefs.NodeLookuper       = (*viewNode)(nil)
	_ fusefs.NodeOpendirHandler = (*viewNode)(nil)
	_ fusefs.NodeGetxattrer     = (*viewNode)(nil)
	_ fusefs.NodeListxattrer    = (*viewNode)(nil)
)

// newView makes the inode of a view in the directory n.
func (n *node) newView(ctx context.Context, v *view, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	child := &viewNode{node: node{tree: n.tree}, view: v}
	out.SetAttrTimeout(child.describe(ctx, &out.Attr))
	out.SetEntryTimeout(forever)
	return n.NewInode(ctx, child, id)
}

// describe fills the directory's attributes, and tells how long they hold. Until
// somebody looks into the directory they are the manifest's: telling the true
// ones may cost all of a layer. Once the tree is known they are the tree's, also
// where it has to be read from the disk for that.
func (n *viewNode) describe(ctx context.Context, out *fuse.Attr) time.Duration {
	t := n.view.known(ctx)
	if t == nil {
		n.tree.directory(out, n.view.created)
		return 0
	}
	fillAttr(out, n.view.root(t).Attr())
	return keepFor(t)
}

// root is the directory itself, opened if need be.
func (n *viewNode) root(ctx context.Context) (*images.Tree, archive.Node, syscall.Errno) {
	t, err := n.view.tree(ctx)
	if err != nil {
		return nil, archive.Node{}, n.tree.contentErrno(ctx, "open archive", n.view.reference(), err)
	}
	return t, n.view.root(t), 0
}

// Getattr implements fusefs.NodeGetattrer.
func (n *viewNode) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.SetTimeout(n.describe(ctx, &out.Attr))
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (n *viewNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	var t *images.Tree
	var entry archive.Node
	var ok bool
	if !n.view.alone {
		var err error
		if t, entry, ok, err = n.view.find(ctx, path.Join(n.view.path, name)); err != nil {
			return nil, n.tree.contentErrno(ctx, "open archive", n.view.reference(), err)
		}
	}
	if !ok {
		// Not below the path that is shown; perhaps there is none, or whether it
		// is shown goes by the whole tree.
		var root archive.Node
		var errno syscall.Errno
		if t, root, errno = n.root(ctx); errno != 0 {
			return nil, errno
		}
		if entry, ok = root.Lookup(name); !ok {
			return nil, syscall.ENOENT
		}
	}
	return n.newEntry(ctx, n.view, t, entry, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *viewNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	t, root, errno := n.root(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return n.opendir(n.view, t, root)
}

// xattrs are those of the tree's directory; none before it is known.
func (n *viewNode) xattrs(ctx context.Context) xattrs {
	if t := n.view.known(ctx); t != nil {
		return xattrsOf(n.view.root(t))
	}
	return xattrs{}
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *viewNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *viewNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).list(dest)
}
