package fs

import (
	"context"
	"fmt"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/images"
)

// A mergedNode is a folder of files/ that shows what archives have there beside
// what the manifest names, or what several archives have. Layers are written one
// after the other, see artifact.Folder. The archives are opened when somebody
// looks for what may be in them.
type mergedNode struct{ filesNode }

var (
	_ fusefs.NodeLookuper       = (*mergedNode)(nil)
	_ fusefs.NodeOpendirHandler = (*mergedNode)(nil)
)

// An unpackedDir is a directory of an archive that is part of a folder.
type unpackedDir struct {
	layer int
	view  *view        // of the folder that the archive is unpacked into
	below []string     // from there to the directory
	tree  *images.Tree // the archive's, once it is open
	dir   archive.Node // and the directory in it
}

// unpackedIn are the directories of the archives that are unpacked into f, at the
// path below that.
func (a *repositoryArtifact) unpackedIn(f *artifact.Folder, below []string) []unpackedDir {
	dirs := make([]unpackedDir, len(f.Archives))
	for i, u := range f.Archives {
		v := a.layerView(u.Layer, u.Path)
		v.alone = u.Alone
		dirs[i] = unpackedDir{layer: u.Layer, view: v, below: below}
	}
	return dirs
}

// open is the directory once its archive is open. false is that it has none there.
func (u unpackedDir) open(ctx context.Context) (unpackedDir, bool, error) {
	tree, err := u.view.tree(ctx)
	if err != nil {
		return u, false, err
	}
	dir := u.view.root(tree)
	for _, element := range u.below {
		var ok bool
		if dir, ok = dir.Lookup(element); !ok || dir.Type() != archive.TypeDir {
			return u, false, nil
		}
	}
	u.tree, u.dir = tree, dir
	return u, true, nil
}

// maxMerged bounds the archives that are unpacked into one directory: all of them
// are open for as long as somebody looks into it. Nobody pushes one directory that
// often.
const maxMerged = 16

// openDirs opens directories, and gives those that are there.
func openDirs(ctx context.Context, all []unpackedDir) (dirs []unpackedDir, err error) {
	if len(all) > maxMerged {
		return nil, fmt.Errorf("%d archives are unpacked into one directory, %d are the most", len(all), maxMerged)
	}
	for _, u := range all {
		opened, ok, err := u.open(ctx)
		if err != nil {
			return nil, err
		}
		if ok {
			dirs = append(dirs, opened)
		}
	}
	return dirs, nil
}

// over are the directories of the layers that are written over what the manifest
// names: none over a folder, with which they are merged.
func over(e artifact.Entry, dirs []unpackedDir) []unpackedDir {
	if e.Folder != nil {
		return nil
	}
	first := slices.IndexFunc(dirs, func(u unpackedDir) bool { return u.layer > e.Layer })
	if first < 0 {
		return nil
	}
	return dirs[first:]
}

// An unpackedName is what a name is in archives' directories.
type unpackedName struct {
	view   *view
	tree   *images.Tree
	entry  archive.Node
	merged bool // a directory of several of them
}

func (u *unpackedName) isDir() bool { return u.entry.Type() == archive.TypeDir }

// unpackedAt is what the last of some directories has that have a name; nil is
// that none has it.
func unpackedAt(dirs []unpackedDir, name string) *unpackedName {
	var last *unpackedName
	for _, u := range slices.Backward(dirs) {
		entry, ok := u.dir.Lookup(name)
		switch {
		case !ok:
		case last == nil:
			last = &unpackedName{view: u.view, tree: u.tree, entry: entry}
		case last.isDir() && entry.Type() == archive.TypeDir:
			last.merged = true
		}
	}
	return last
}

// Lookup implements fusefs.NodeLookuper.
func (n *mergedNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, errno
	}
	f, dirs := n.folder(a)
	e, named := f.Children[name]
	if named {
		dirs = over(e, dirs)
	}
	dirs, err := openDirs(ctx, dirs)
	if err != nil {
		return nil, n.tree.contentErrno(ctx, "open archive", n.reference(), err)
	}
	u := unpackedAt(dirs, name)
	switch {
	case named && (u == nil || u.isDir()):
		return n.newNamed(ctx, a, name, e, out), 0
	case u == nil:
		return nil, syscall.ENOENT
	case u.merged:
		return n.newFolder(ctx, a, n.pathOf(name), n.folderIdentity(name), out), 0
	}
	return n.newEntry(ctx, u.view, u.tree, u.entry, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler. What the manifest names is
// listed first.
func (n *mergedNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	f, dirs := n.folder(a)
	dirs, err := openDirs(ctx, dirs)
	if err != nil {
		return nil, 0, n.tree.contentErrno(ctx, "open archive", n.reference(), err)
	}
	list := func(_ context.Context, emit func([]fuse.DirEntry) error) error {
		page := dots(n.EmbeddedInode())
		for _, name := range f.Names {
			id := n.identity(name, f.Children[name])
			if u := unpackedAt(over(f.Children[name], dirs), name); u != nil && !u.isDir() {
				id = u.view.identity(u.tree, u.entry)
			}
			page = append(page, entry(name, id))
		}
		if err := emit(page); err != nil {
			return err
		}
		for i := range dirs {
			if err := n.emitUnpacked(f, dirs, i, emit); err != nil {
				return err
			}
		}
		return nil
	}
	how := uint32(immutable)
	for _, u := range dirs {
		if u.tree.Provisional() {
			how = 0
		}
	}
	return &directory{tree: n.tree, list: list, fail: fusefs.ToErrno}, how, 0
}

// emitUnpacked lists what directory i has and neither the manifest names nor a
// directory before it has.
func (n *mergedNode) emitUnpacked(f *artifact.Folder, dirs []unpackedDir, i int, emit func([]fuse.DirEntry) error) error {
	const pageLen = 512
	var page []fuse.DirEntry
	for child := range dirs[i].dir.Entries("") {
		name := child.Name()
		if _, named := f.Children[name]; named || unpackedAt(dirs[:i], name) != nil {
			continue
		}
		u := unpackedAt(dirs[i:], name)
		id := u.view.identity(u.tree, u.entry)
		if u.merged {
			id = n.folderIdentity(name)
		}
		page = append(page, entry(name, id))
		if len(page) == pageLen {
			if err := emit(page); err != nil {
				return err
			}
			page = nil
		}
	}
	return emit(page)
}
