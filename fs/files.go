package fs

import (
	"context"
	"strconv"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/artifact"
)

// A filesNode is files/ of a manifest, or a folder in it: what `oras pull`, or
// the tool that the artifact's format is of, would write.
type filesNode struct {
	manifestPart
	path []string // from files/ to this folder
}

var (
	_ fusefs.NodeGetattrer      = (*filesNode)(nil)
	_ fusefs.NodeLookuper       = (*filesNode)(nil)
	_ fusefs.NodeOpendirHandler = (*filesNode)(nil)
)

// folder is what the directory shows.
func (n *filesNode) folder(ctx context.Context) (*repositoryArtifact, *artifact.Folder, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, nil, errno
	}
	f := a.Files
	for _, element := range n.path {
		f = f.Children[element].Folder
	}
	return a, f, 0
}

// identity is the identity of an entry. A layer's is the same in layers/.
func (n *filesNode) identity(name string, e artifact.Entry) fusefs.StableAttr {
	switch {
	case e.Folder != nil:
		return n.repo.identity(syscall.S_IFDIR, "folder", append([]string{n.digest.String()}, n.pathOf(name)...)...)
	case e.As == artifact.Blob:
		return layerIdentity(n.repo, n.digest, e.Layer)
	case e.As == artifact.Archived:
		return n.repo.identity(syscall.S_IFREG, "archived", n.digest.String(), strconv.Itoa(e.Layer))
	}
	return n.repo.identity(syscall.S_IFDIR, "unpacked", n.digest.String(), strconv.Itoa(e.Layer))
}

// pathOf is the path of an entry.
func (n *filesNode) pathOf(name string) []string {
	return append(n.path[:len(n.path):len(n.path)], name)
}

// Lookup implements fusefs.NodeLookuper.
func (n *filesNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, f, errno := n.folder(ctx)
	if errno != 0 {
		return nil, errno
	}
	e, ok := f.Children[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	id := n.identity(name, e)
	switch {
	case e.Folder != nil:
		return n.newPart(ctx, &filesNode{n.below(), n.pathOf(name)}, id, forever, out), 0
	case e.As == artifact.Blob:
		return n.newBlob(ctx, n.repo, a.Layers[e.Layer], a.Created, id, out), 0
	}
	view := a.layerView(e.Layer, e.Path)
	if e.As == artifact.Archived {
		return n.newArchived(ctx, view, e.Size, a.Layers[e.Layer].Annotations, id, out), 0
	}
	view.alone = e.As == artifact.UnpackedAlone
	return n.newView(ctx, view, id, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *filesNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	_, f, errno := n.folder(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	list := make([]fuse.DirEntry, len(f.Names))
	for i, name := range f.Names {
		list[i] = entry(name, n.identity(name, f.Children[name]))
	}
	return n.openImmutable(list...)
}

// layerIdentity is the identity of a manifest's layer, wherever it shows. Two
// manifests don't share it, because annotations and time are the manifest's.
func layerIdentity(r *repository, manifest digest.Digest, index int) fusefs.StableAttr {
	return r.identity(syscall.S_IFREG, "layer", manifest.String(), strconv.Itoa(index))
}
