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
func layoutFiles(a *repositoryArtifact, image *resolver.Manifest) ([]layoutFile, error) {
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

// A layoutFileNode is a file of a layout that is no blob: its inode holds it.
type layoutFileNode struct {
	node
	content  []byte
	modified time.Time
}

var (
	_ fusefs.NodeGetattrer = (*layoutFileNode)(nil)
	_ fusefs.NodeOpener    = (*layoutFileNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *layoutFileNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.file(&out.Attr, int64(len(n.content)), n.modified)
	out.SetTimeout(forever)
	return 0
}

// Open implements fusefs.NodeOpener.
func (n *layoutFileNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	return document(n.content), readOnly | fuse.FOPEN_KEEP_CACHE, 0
}
