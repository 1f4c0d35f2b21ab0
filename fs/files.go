package fs

import (
	"context"
	"slices"
	"strconv"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/artifact"
)

// A filesNode is files/ of a manifest, or a folder in it: what `oras pull`, or
// the tool that the artifact's format is of, would write. It holds what the
// manifest names. Where archives are unpacked a folder is a viewNode, which shows
// the only one that there is, or a mergedNode.
type filesNode struct {
	manifestPart
	path []string // from files/ to this folder
}

var (
	_ fusefs.NodeGetattrer      = (*filesNode)(nil)
	_ fusefs.NodeLookuper       = (*filesNode)(nil)
	_ fusefs.NodeOpendirHandler = (*filesNode)(nil)
)

// filesNode is the node of the folder at a path in files/ of the manifest.
func (p *manifestPart) filesNode(a *repositoryArtifact, path []string) viewRoot {
	n := &filesNode{p.below(), path}
	f, archives := n.folder(a)
	switch {
	case len(archives) == 0:
		return n
	case len(archives) == 1 && len(f.Children) == 0:
		return &viewNode{node: node{tree: p.tree}, view: archives[0].view}
	}
	return &mergedNode{filesNode{p.below(), path}}
}

// newFolder makes the inode of that node.
func (p *manifestPart) newFolder(ctx context.Context, a *repositoryArtifact, path []string, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	n := p.filesNode(a, path)
	if v, ok := n.(*viewNode); ok {
		return p.newView(ctx, v.view, id, out)
	}
	return p.newPart(ctx, n, id, forever, out)
}

// folder is what the manifest names in the directory, which is nothing if that is
// in archives alone, and which archives' directories it shows.
func (n *filesNode) folder(a *repositoryArtifact) (*artifact.Folder, []unpackedDir) {
	f := a.Files
	dirs := a.unpackedIn(f, n.path)
	for i, element := range n.path {
		if f = f.Children[element].Folder; f == nil {
			f = &artifact.Folder{}
			break
		}
		dirs = append(dirs, a.unpackedIn(f, n.path[i+1:])...)
	}
	slices.SortStableFunc(dirs, func(a, b unpackedDir) int { return a.layer - b.layer })
	return f, dirs
}

// folderIdentity is the identity of the folder of that name.
func (n *filesNode) folderIdentity(name string) fusefs.StableAttr {
	return n.repo.identity(syscall.S_IFDIR, "folder", append([]string{n.digest.String()}, n.pathOf(name)...)...)
}

// identity is the identity of what the manifest names. A layer's is the same in
// layers/.
func (n *filesNode) identity(name string, e artifact.Entry) fusefs.StableAttr {
	switch {
	case e.Folder != nil:
		return n.folderIdentity(name)
	case e.As == artifact.Archived:
		return n.repo.identity(syscall.S_IFREG, "archived", n.digest.String(), strconv.Itoa(e.Layer))
	case e.As == artifact.Chart:
		return n.repo.identity(syscall.S_IFDIR, "chart", n.digest.String(), strconv.Itoa(e.Layer))
	}
	return layerIdentity(n.repo, n.digest, e.Layer)
}

// pathOf is the path of an entry.
func (n *filesNode) pathOf(name string) []string { return append(slices.Clip(n.path), name) }

// newNamed makes the inode of what the manifest names.
func (n *filesNode) newNamed(ctx context.Context, a *repositoryArtifact, name string, e artifact.Entry, out *fuse.EntryOut) *fusefs.Inode {
	id := n.identity(name, e)
	switch {
	case e.Folder != nil:
		return n.newFolder(ctx, a, n.pathOf(name), id, out)
	case e.As == artifact.Archived:
		return n.newArchived(ctx, a.layerView(e.Layer, e.Path), e.Size, a.Layers[e.Layer].Annotations, id, out)
	case e.As == artifact.Chart:
		return n.newPart(ctx, &chartNode{manifestPart: n.below(), layer: e.Layer}, id, forever, out)
	}
	return n.newBlobOf(ctx, a, a.Layers[e.Layer], id, out)
}

// Lookup implements fusefs.NodeLookuper.
func (n *filesNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, errno
	}
	f, _ := n.folder(a)
	e, ok := f.Children[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.newNamed(ctx, a, name, e, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *filesNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	f, _ := n.folder(a)
	list := make([]fuse.DirEntry, len(f.Names))
	for i, name := range f.Names {
		list[i] = entry(name, n.identity(name, f.Children[name]))
	}
	return n.openImmutable(list...)
}
