package fs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
)

// An entryNode is an entry of an archive: a file, a directory, a link, a
// device. Its attributes are the archive's.
//
// The kernel may know of millions. So it holds none of what the tree has, and not
// the tree: only where it is in it, which is its number in all trees of one tag, or
// its path in one that may become another one.
type entryNode struct {
	node
	view   *view
	tag    uint64
	number int
	path   string                // "" where it goes by the number
	id     fusefs.StableAttr     // of the inode, were it never spent
	pages  atomic.Pointer[pages] // nil while it was never opened
}

var (
	_ fusefs.NodeGetattrer      = (*entryNode)(nil)
	_ fusefs.NodeLookuper       = (*entryNode)(nil)
	_ fusefs.NodeOpendirHandler = (*entryNode)(nil)
	_ fusefs.NodeOpener         = (*entryNode)(nil)
	_ fusefs.NodeReadlinker     = (*entryNode)(nil)
	_ fusefs.NodeGetxattrer     = (*entryNode)(nil)
	_ fusefs.NodeListxattrer    = (*entryNode)(nil)
)

// entry is the entry as it is now.
func (n *entryNode) entry(ctx context.Context, operation string) (*images.Tree, archive.Node, syscall.Errno) {
	t, entry, err := n.find(ctx)
	if err != nil {
		return nil, entry, n.tree.contentErrno(ctx, operation, n.reference(), err)
	}
	return t, entry, 0
}

// find finds the entry as it is now. What is found has to be what the inode is: the
// kernel has pages and attributes of that, and where an archive turned out to be
// another one, something else may have the entry's place. Then the inode is spent, and
// the kernel looks the name up once more. So it is if the image that the inode was met
// in can't be opened any more: a file is one inode in all images that have its layer,
// and the next one may be.
func (n *entryNode) find(ctx context.Context) (*images.Tree, archive.Node, error) {
	t, entry, ok, err := n.numbered(ctx)
	if err == nil && !ok {
		t, entry, ok, err = n.view.find(ctx, cmp.Or(n.path, n.wayDown()))
		ok = ok && err == nil && n.view.identity(t, entry) == n.id
	}
	switch {
	case ok && err == nil:
		return t, entry, nil
	case err != nil && (ctx.Err() != nil || timedOut(err) || n.StableAttr().Mode == syscall.S_IFDIR):
		return nil, archive.Node{}, err
	case err != nil:
		n.tree.log.Debug("a file is looked for in another image", "reference", n.reference(), "error", err)
	}
	n.tree.spent.spend(n.id, n.StableAttr())
	return nil, archive.Node{}, images.ErrStale
}

// numbered is the entry by its number, in a tree where that means the same as in the one
// in which the inode was met; false is that the image has no such tree.
func (n *entryNode) numbered(ctx context.Context) (*images.Tree, archive.Node, bool, error) {
	if n.path != "" {
		return nil, archive.Node{}, false, nil
	}
	t, err := n.view.tree(ctx)
	if err != nil {
		return nil, archive.Node{}, false, err
	}
	entry, ok := t.Node(n.number)
	return t, entry, ok && t.Tag == n.tag, nil
}

// wayDown is the path of the entry by the names that the kernel knows, for where the
// archive was indexed anew. Where those are others than the archive's, below a chart or
// a merged directory, it leads to something else, or nowhere.
func (n *entryNode) wayDown() string {
	at := ""
	for inode := n.EmbeddedInode(); ; {
		name, parent := inode.Parent()
		if parent == nil {
			return at
		}
		at = path.Join(name, at)
		if v, ok := parent.Operations().(*viewNode); ok {
			return path.Join(v.view.path, at)
		}
		inode = parent
	}
}

// whole is a directory once the tree is known as a whole.
func (n *entryNode) whole(ctx context.Context) (*images.Tree, archive.Node, error) {
	if _, err := n.view.tree(ctx); err != nil {
		return nil, archive.Node{}, err
	}
	return n.find(ctx)
}

// reference names the entry in errors and in the log.
func (n *entryNode) reference() string { return n.view.reference() + " " + cmp.Or(n.path, n.wayDown()) }

// Getattr implements fusefs.NodeGetattrer.
func (n *entryNode) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	t, entry, errno := n.entry(ctx, "stat")
	if errno != 0 {
		return errno
	}
	fillAttr(&out.Attr, entry.Attr())
	out.SetTimeout(keepFor(t))
	return 0
}

// fillAttr tells the kernel what the archive says.
func fillAttr(out *fuse.Attr, a archive.Attr) {
	out.Mode = uint32(a.Type) | a.Mode
	out.Size = uint64(max(a.Size, 0))
	out.Blocks = (out.Size + 511) / 512
	out.Nlink = a.Links
	out.Owner = fuse.Owner{Uid: a.UID, Gid: a.GID}
	// As the kernel packs a device's numbers into 32 bits (new_encode_dev).
	out.Rdev = a.Minor&0xff | a.Major<<8 | (a.Minor&^0xff)<<12
	modified := time.Unix(a.Sec, int64(a.Nsec))
	out.SetTimes(&modified, &modified, &modified)
}

// Lookup implements fusefs.NodeLookuper.
func (n *entryNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	t, child, ok, err := n.child(ctx, name)
	if err != nil {
		return nil, n.tree.contentErrno(ctx, "look up", n.reference(), err)
	}
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.newEntry(ctx, n.view, t, child, out), 0
}

// child is the entry of that name in the directory.
func (n *entryNode) child(ctx context.Context, name string) (*images.Tree, archive.Node, bool, error) {
	if n.path != "" {
		return n.view.find(ctx, path.Join(n.path, name))
	}
	t, dir, err := n.find(ctx)
	if err != nil {
		return nil, archive.Node{}, false, err
	}
	child, ok := dir.Lookup(name)
	return t, child, ok, nil
}

// newEntry makes the inode of an entry of a tree in the directory n.
func (n *node) newEntry(ctx context.Context, v *view, t *images.Tree, entry archive.Node, out *fuse.EntryOut) *fusefs.Inode {
	fillAttr(&out.Attr, entry.Attr())
	keep(out, keepFor(t))
	id := v.identity(t, entry)
	child := &entryNode{node: node{tree: n.tree}, view: v, tag: t.Tag, number: entry.Number(), id: id}
	if t.Provisional() {
		child.path = strings.Clone(entry.Path())
	}
	return n.NewInode(ctx, child, n.tree.spent.successor(id))
}

// OpendirHandle implements fusefs.NodeOpendirHandler. All of the directory is
// known, or waited for.
func (n *entryNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	t, dir, err := n.whole(ctx)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "list", n.reference(), err)
	}
	return n.opendir(n.view, t, dir)
}

// opendir lists the directory dir of a tree, which n shows.
func (n *node) opendir(v *view, t *images.Tree, dir archive.Node) (fusefs.FileHandle, uint32, syscall.Errno) {
	const pageLen = 512
	list := func(_ context.Context, emit func([]fuse.DirEntry) error) error {
		page := dots(n.EmbeddedInode())
		for child := range dir.Entries("") {
			page = append(page, entry(child.Name(), v.identity(t, child)))
			if len(page) < pageLen {
				continue
			}
			if err := emit(page); err != nil {
				return err
			}
			page = nil
		}
		return emit(page)
	}
	d := &directory{tree: n.tree, list: list, fail: fusefs.ToErrno}
	if t.Provisional() {
		return d, 0, 0
	}
	return d, immutable, 0
}

// Readlink implements fusefs.NodeReadlinker.
func (n *entryNode) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	_, entry, errno := n.entry(ctx, "read link")
	if errno != 0 {
		return nil, errno
	}
	return []byte(entry.Target()), 0
}

// xattrsOf are the archive's own.
func xattrsOf(n archive.Node) xattrs {
	x := xattrs{}
	for _, a := range n.Xattrs() {
		x[a.Name] = a.Value
	}
	return x
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *entryNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	_, entry, errno := n.entry(ctx, "read attribute")
	if errno != 0 {
		return 0, errno
	}
	return xattrsOf(entry).get(name, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *entryNode) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	_, entry, errno := n.entry(ctx, "list attributes")
	if errno != 0 {
		return 0, errno
	}
	return xattrsOf(entry).list(dest)
}

// Open implements fusefs.NodeOpener.
func (n *entryNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	t, entry, errno := n.entry(ctx, "open")
	if errno != 0 {
		return nil, 0, errno
	}
	return openEntry(ctx, &n.node, n.view, t, entry, n.id, &n.pages)
}

// openEntry opens a file of an archive as the inode n, whose pages those are. id is the
// inode's identity, were it never spent.
func openEntry(ctx context.Context, n *node, v *view, t *images.Tree, entry archive.Node, id fusefs.StableAttr, kept *atomic.Pointer[pages]) (fusefs.FileHandle, uint32, syscall.Errno) {
	file, err := v.open(ctx, t, entry)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open", v.reference()+" "+entry.Path(), err)
	}
	first := kept.CompareAndSwap(nil, &pages{id: id})
	pages := kept.Load()
	how, _, errno := pages.open(n.tree, n.EmbeddedInode().StableAttr(), archivedContent{file})
	if errno != 0 {
		file.Close()
		return nil, 0, errno
	}
	if first && entry.Attr().Size <= maxPagesAhead {
		pagesAhead(n.EmbeddedInode(), file)
	}
	return &openedEntry{tree: n.tree, view: v, file: file, pages: pages}, readOnly | how, 0
}

// archivedContent is a file of an archive as the content of an inode: it is no
// file of the cache's disk.
type archivedContent struct{ file *images.File }

// Generation implements content.
func (c archivedContent) Generation() uint64 { return c.file.Generation() }

// Verified implements content.
func (c archivedContent) Verified() bool { return c.file.Verified() }

// File implements content.
func (c archivedContent) File() *os.File { return nil }

// An openedEntry is an open file of an archive.
type openedEntry struct {
	tree  *tree
	view  *view
	file  *images.File
	pages *pages
}

var (
	_ fusefs.FileReader   = (*openedEntry)(nil)
	_ fusefs.FileReleaser = (*openedEntry)(nil)
)

// Release implements fusefs.FileReleaser.
func (o *openedEntry) Release(context.Context) syscall.Errno {
	o.pages.release(archivedContent{o.file})
	o.file.Close()
	return 0
}

// Read implements fusefs.FileReader.
func (o *openedEntry) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.file.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, o.tree.contentErrno(ctx, "read", o.view.reference()+" "+o.file.Path(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}
