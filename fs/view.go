package fs

import (
	"context"
	"path"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// A view is a directory that shows a tree of archives: an image's root file
// system, or a layer. The tree is opened when somebody looks into it, not when
// it is listed.
type view struct {
	repo     *repository
	manifest digest.Digest
	layer    int       // or allLayers
	path     string    // of the directory that is shown, in the tree
	alone    bool      // it is shown only if there is nothing outside of it
	created  time.Time // shown until the tree is open
}

func (v *view) reference() string { return v.repo.reference(v.manifest.String()) }

// root is the directory of the tree that the view shows. A tree that lacks it,
// or of which it would hide something that it must not, is shown from its own
// root on.
func (v *view) root(ctx context.Context) (archive.Node, error) {
	image, err := v.repo.opening(v.manifest, v.layer).wait(ctx)
	if err != nil {
		return archive.Node{}, err
	}
	if n, ok := image.At(v.path); ok && n.Type() == archive.TypeDir && (!v.alone || alone(n)) {
		return n, nil
	}
	return image.Root(), nil
}

// alone tells whether there is nothing in a tree outside of a directory.
func alone(dir archive.Node) bool {
	way := dir.Image().Root()
	for way.Path() != dir.Path() {
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

// whole is what a directory is once the tree is known as a whole.
func (v *view) whole(ctx context.Context, dir archive.Node) (archive.Node, error) {
	if !dir.Image().Partial() {
		return dir, nil
	}
	image, err := v.repo.opening(v.manifest, v.layer).wait(ctx)
	if err != nil {
		return dir, err
	}
	if n, ok := image.At(dir.Path()); ok {
		return n, nil
	}
	return dir, nil // its layer had another entry of that name further on
}

// find is the entry of a name in a directory of the tree, which may be one that
// isn't known as a whole.
func (v *view) find(ctx context.Context, dir, name string) (archive.Node, bool, error) {
	return v.repo.opening(v.manifest, v.layer).find(ctx, path.Join(dir, name))
}

// identity is the identity of an entry. A layer's files are the same in
// whatever image they are, unless it is the image that says which names they
// have; a merged directory is the image's own.
func (v *view) identity(n archive.Node) fusefs.StableAttr {
	mode := uint32(n.Type())
	layer, number := n.Identity()
	switch {
	case n.Image().Partial():
		return identity(mode, "passed", v.manifest.String(), strconv.Itoa(v.layer), layer, strconv.Itoa(number), n.Path())
	case !n.Own():
		return identity(mode, "entry", layer, strconv.Itoa(number))
	case mode == syscall.S_IFDIR:
		return identity(mode, "merged", v.manifest.String(), n.Path())
	default:
		return identity(mode, "own entry", v.manifest.String(), layer, strconv.Itoa(number))
	}
}

// keepFor is how long the kernel may keep an entry: one of a tree that isn't
// known as a whole is looked up again.
func keepFor(n archive.Node) time.Duration {
	if n.Image().Partial() {
		return time.Second
	}
	return forever
}

// A viewNode is the directory that a view shows.
type viewNode struct {
	node
	view *view
	attr atomic.Pointer[archive.Attr] // the tree's own, once it is open
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
	n.tree.directory(&out.Attr, v.created)
	out.SetEntryTimeout(forever)
	return n.NewInode(ctx, &viewNode{node: node{tree: n.tree}, view: v}, id)
}

// root is the directory itself, opened if need be.
func (n *viewNode) root(ctx context.Context) (archive.Node, syscall.Errno) {
	root, err := n.view.root(ctx)
	if err != nil {
		return root, n.tree.contentErrno(ctx, "open archive", n.view.reference(), err)
	}
	attr := root.Attr()
	n.attr.Store(&attr)
	return root, 0
}

// Getattr implements fusefs.NodeGetattrer. Until somebody looks into the
// directory its attributes are the manifest's: telling the true ones may cost
// all of a layer.
func (n *viewNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if attr := n.attr.Load(); attr != nil {
		fillAttr(&out.Attr, *attr)
		out.SetTimeout(forever)
		return 0
	}
	n.tree.directory(&out.Attr, n.view.created)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (n *viewNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	var entry archive.Node
	var ok bool
	var err error
	if !n.view.alone {
		entry, ok, err = n.view.find(ctx, n.view.path, name)
	}
	if err == nil && !ok {
		// Not below the path that is shown; perhaps there is none, or whether it
		// is shown goes by the whole tree.
		root, errno := n.root(ctx)
		if errno != 0 {
			return nil, errno
		}
		entry, ok = root.Lookup(name)
	}
	if err != nil {
		return nil, n.tree.contentErrno(ctx, "open archive", n.view.reference(), err)
	}
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.newEntry(ctx, n.view, entry, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *viewNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	root, errno := n.root(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return n.opendir(n.view, root)
}

// xattrs are those of the tree's directory; none before it is open.
func (n *viewNode) xattrs(ctx context.Context) xattrs {
	x := xattrs{}
	if n.attr.Load() == nil {
		return x
	}
	root, errno := n.root(ctx)
	if errno != 0 {
		return x
	}
	for _, a := range root.Xattrs() {
		x[a.Name] = a.Value
	}
	return x
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *viewNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *viewNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.xattrs(ctx).list(dest)
}
