package fs

import (
	"context"
	"encoding/json"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// A layoutNode is layout/ of a manifest: an OCI image layout of what belongs to
// it (image specification, "Image Layout"). Its blobs are files by digest; no
// blob is fetched to list them.
//
// An image has Docker's manifest.json too, without which docker load takes the
// layout only where Docker keeps images in containerd's store.
type layoutNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*layoutNode)(nil)
	_ fusefs.NodeLookuper       = (*layoutNode)(nil)
	_ fusefs.NodeOpendirHandler = (*layoutNode)(nil)
)

// layoutTag is the tag that the artifact has in its layout: the one that tools
// take where none is given. Which tags it has in the registry can change, and a
// manifest's directory can't.
const layoutTag = "latest"

// A layoutFile is a file of a layout that is no blob.
type layoutFile struct {
	name    string
	content []byte
}

// layoutFiles are the files beside blobs/, of an artifact and the image that a
// host would run of it; nil is none.
func layoutFiles(a *artifact, image *resolver.Manifest) ([]layoutFile, error) {
	root := resolver.Subject(a.Manifest)
	root.Annotations = map[string]string{ocispec.AnnotationRefName: layoutTag}
	if !isImage(a.Manifest) && !a.IsIndex() {
		root.ArtifactType = a.ArtifactType
	}
	files := []struct {
		name    string
		content any
	}{
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{ocispec.ImageIndexFile, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{root},
		}},
		{resolver.DockerManifestFile, dockerManifest(image)},
	}
	if image == nil {
		files = files[:2]
	}
	list := make([]layoutFile, len(files))
	for i, f := range files {
		content, err := json.Marshal(f.content)
		if err != nil {
			return nil, err
		}
		list[i] = layoutFile{f.name, append(content, '\n')}
	}
	return list, nil
}

// dockerManifest is what docker save writes of an image; nil is none.
func dockerManifest(m *resolver.Manifest) []resolver.DockerImage {
	if m == nil {
		return nil
	}
	image := resolver.DockerImage{Config: resolver.BlobPath(m.Config.Digest)}
	for _, layer := range m.Layers {
		image.Layers = append(image.Layers, resolver.BlobPath(layer.Digest))
	}
	return []resolver.DockerImage{image}
}

// closure is what the layout holds.
func (p *manifestPart) closure(ctx context.Context) (*closure, syscall.Errno) {
	c, err := p.repo.closure(ctx, p.digest)
	return c, p.tree.contentErrno(ctx, "list layout", p.reference(), err)
}

// keepFor is how long the kernel may keep what it was told of the layout.
func (c *closure) keepFor() time.Duration {
	if c.until.IsZero() {
		return forever
	}
	return max(time.Until(c.until), 0)
}

// Lookup implements fusefs.NodeLookuper.
func (n *layoutNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if name == ocispec.ImageBlobsDir {
		return n.newPart(ctx, &layoutBlobsNode{n.below()}, n.part(name), forever, out), 0
	}
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, errno
	}
	for _, f := range c.files {
		if f.name != name {
			continue
		}
		n.tree.file(&out.Attr, int64(len(f.content)), n.created)
		keep(out, c.keepFor())
		file := &contentNode{node: node{tree: n.tree}, content: f.content, modified: n.created}
		return n.NewInode(ctx, file, n.part(name)), 0
	}
	return nil, syscall.ENOENT
}

// part is the identity of an entry.
func (n *layoutNode) part(name string) fusefs.StableAttr {
	mode := uint32(syscall.S_IFREG)
	if name == ocispec.ImageBlobsDir {
		mode = syscall.S_IFDIR
	}
	return n.repo.identity(mode, "layout", n.digest.String(), name)
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *layoutNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	list := []fuse.DirEntry{entry(ocispec.ImageBlobsDir, n.part(ocispec.ImageBlobsDir))}
	for _, f := range c.files {
		list = append(list, entry(f.name, n.part(f.name)))
	}
	if !c.until.IsZero() {
		return n.openChanging(list...)
	}
	return n.openImmutable(list...)
}
