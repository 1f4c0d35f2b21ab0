package export

import (
	"encoding/json"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// tag is the one that the artifact has in its layout: the one that tools take where
// none is given. Which tags it has in the registry can change, and a manifest's
// directory can't.
const tag = "latest"

// A File is a file of a layout that is no blob.
type File struct {
	Name    string
	Content []byte
}

// files are the files beside blobs/, of an artifact, which may be an image, and of
// the image of it that a host would run; nil is none.
//
// An image has Docker's manifest.json too, without which docker load takes the
// layout only where Docker keeps images in containerd's store.
func files(artifact *resolver.Manifest, isImage bool, forHost *resolver.Manifest) ([]File, error) {
	root := resolver.Subject(artifact)
	root.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	if !isImage && !artifact.IsIndex() {
		root.ArtifactType = artifact.ArtifactType
	}
	documents := []struct {
		name    string
		content any
	}{
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{ocispec.ImageIndexFile, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{root},
		}},
		{resolver.DockerManifestFile, dockerManifest(forHost)},
	}
	if forHost == nil {
		documents = documents[:2]
	}
	list := make([]File, len(documents))
	for i, d := range documents {
		content, err := json.Marshal(d.content)
		if err != nil {
			return nil, err
		}
		list[i] = File{d.name, append(content, '\n')}
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
