package resolver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// DockerManifestFile is the file in which docker save lists the images.
const DockerManifestFile = "manifest.json"

// A DockerImage is an element of docker save's manifest.json (Docker image
// specification 1.2, "Combined Image JSON + Filesystem Changeset Format").
// Config and Layers are paths in the archive.
type DockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// mediaTypeDockerLayer is a layer that isn't compressed; one that is has the
// compression's name behind it.
const mediaTypeDockerLayer = "application/vnd.docker.image.rootfs.diff.tar"

// maxArchivedLayers bounds the layers of all images of an archive, together.
const maxArchivedLayers = 100_000

// A dockerArchive makes an OCI image layout of an archive that docker save wrote
// before version 25, or skopeo as docker-archive: it has the configs and the
// layers, and no manifests.
type dockerArchive struct {
	tar *layoutTar
	// What is known of the archive's files: images share them.
	configs    map[*tarFile]archivedConfig
	compressed map[*tarFile]ocispec.Descriptor // layers
	layers     int
}

type archivedConfig struct {
	desc    ocispec.Descriptor
	diffIDs []digest.Digest
}

// layOut adds to the files of an archive those that make it a layout:
// oci-layout, index.json, a manifest for each image, and every config and layer
// at the path that its digest has.
func (t *layoutTar) layOut(ctx context.Context) error {
	images, err := t.archivedImages()
	if err != nil {
		return fmt.Errorf("%s: %w", DockerManifestFile, err)
	}
	a := &dockerArchive{tar: t, configs: make(map[*tarFile]archivedConfig), compressed: make(map[*tarFile]ocispec.Descriptor)}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for i, image := range images {
		desc, err := a.manifest(ctx, image)
		if err != nil {
			return fmt.Errorf("image %d of %s: %w", i, DockerManifestFile, err)
		}
		if len(index.Manifests)+max(1, len(image.RepoTags)) > maxDescriptors {
			return fmt.Errorf("%s: more than %d images or tags: %w", DockerManifestFile, maxDescriptors, errdef.ErrSizeExceedsLimit)
		}
		if len(image.RepoTags) == 0 {
			index.Manifests = append(index.Manifests, desc)
		}
		for _, name := range image.RepoTags {
			desc.Annotations = map[string]string{annotationImageName: name}
			index.Manifests = append(index.Manifests, desc)
		}
	}
	content, err := json.Marshal(index)
	if err != nil {
		return err
	}
	t.put(ocispec.ImageIndexFile, content)
	t.put(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))
	return nil
}

func (t *layoutTar) archivedImages() ([]DockerImage, error) {
	f, err := t.find(DockerManifestFile)
	if err != nil {
		return nil, err
	}
	content, err := readFile(f, MaxManifest)
	if err != nil {
		return nil, err
	}
	if bytes.Count(content, []byte(",")) > maxElements {
		return nil, fmt.Errorf("more than %d values: %w", maxElements, errdef.ErrSizeExceedsLimit)
	}
	var images []DockerImage
	return images, json.Unmarshal(content, &images)
}

// manifest makes an image's manifest: of Docker's media types, and always of
// the same bytes.
func (a *dockerArchive) manifest(ctx context.Context, image DockerImage) (ocispec.Descriptor, error) {
	config, err := a.config(image.Config)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("config %q: %w", image.Config, err)
	}
	if len(image.Layers) != len(config.diffIDs) {
		return ocispec.Descriptor{}, fmt.Errorf("it has %d layers, and its config says %d", len(image.Layers), len(config.diffIDs))
	}
	if a.layers += len(image.Layers); a.layers > maxArchivedLayers {
		return ocispec.Descriptor{}, fmt.Errorf("more than %d layers in all images: %w", maxArchivedLayers, errdef.ErrSizeExceedsLimit)
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: mediaTypeDockerManifest,
		Config:    config.desc,
		Layers:    make([]ocispec.Descriptor, len(image.Layers)),
	}
	for i, name := range image.Layers {
		if m.Layers[i], err = a.layer(ctx, name, config.diffIDs[i]); err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("layer %q: %w", name, err)
		}
	}
	content, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	a.tar.put(BlobPath(desc.Digest), content)
	return desc, nil
}

// config reads a config and makes a blob of it.
func (a *dockerArchive) config(name string) (archivedConfig, error) {
	f, err := a.tar.find(name)
	if err != nil {
		return archivedConfig{}, err
	}
	if known, ok := a.configs[f]; ok {
		return known, nil
	}
	content, err := readFile(f, maxImageConfig)
	if err != nil {
		return archivedConfig{}, err
	}
	diffIDs, err := parseDiffIDs(content)
	if err != nil {
		return archivedConfig{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaTypeDockerConfig, Digest: digest.FromBytes(content), Size: f.Size()}
	a.tar.entries[BlobPath(desc.Digest)] = tarEntry{file: f}
	a.configs[f] = archivedConfig{desc, diffIDs}
	return a.configs[f], nil
}

// maxImageConfig bounds an image's config, in bytes. Real ones have some
// kilobytes.
const maxImageConfig = 4 << 20

// parseDiffIDs are the digests of the layers' tars as an image's config gives
// them (image specification, "Image configuration"). They are checked by who uses
// them.
func parseDiffIDs(content []byte) ([]digest.Digest, error) {
	var config struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	return config.RootFS.DiffIDs, nil
}

// layer makes a blob of a layer. Its digest is the diff ID, which is checked by
// who reads it, as that of any blob; a layer that is compressed has another,
// which nothing says.
func (a *dockerArchive) layer(ctx context.Context, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	f, err := a.tar.find(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if known, ok := a.compressed[f]; ok {
		return known, nil
	}
	desc := ocispec.Descriptor{MediaType: mediaTypeDockerLayer, Digest: diffID, Size: f.Size()}
	if c := compressionOf(f); c != "" {
		desc.MediaType += "." + c
		if desc.Digest, err = digest.FromReader(endingReader{ctx, io.NewSectionReader(f, 0, f.Size())}); err != nil {
			return ocispec.Descriptor{}, err
		}
		a.compressed[f] = desc
	}
	if err := checkDigest(desc.Digest); err != nil {
		return ocispec.Descriptor{}, err
	}
	a.tar.entries[BlobPath(desc.Digest)] = tarEntry{file: f}
	return desc, nil
}

// An endingReader fails once its context has ended: a layer may be long.
type endingReader struct {
	ctx context.Context //nolint:containedctx // of the one call that reads
	io.Reader
}

// Read implements io.Reader.
func (r endingReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
