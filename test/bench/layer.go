//go:build linux

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An imageLayer is a layer of the registry, and the digest of its tar.
type imageLayer struct {
	ocispec.Descriptor
	diff digest.Digest
}

// layerOf makes a gzip layer of what fill writes. name is that of its file while it
// is made.
func (w *workplace) layerOf(ctx context.Context, name string, fill func(*tar.Writer) error) (imageLayer, error) {
	return w.written(ctx, name, ocispec.MediaTypeImageLayerGzip, func(out io.Writer) (digest.Digest, error) {
		plain := sha256.New()
		compressor := gzip.NewWriter(out)
		archive := tar.NewWriter(io.MultiWriter(compressor, plain))
		err := errors.Join(fill(archive), archive.Close(), compressor.Close())
		return digest.NewDigest(digest.SHA256, plain), err
	})
}

// written makes a layer of what write writes, which gives the digest of the tar in it.
func (w *workplace) written(ctx context.Context, name, mediaType string, write func(io.Writer) (digest.Digest, error)) (layer imageLayer, err error) {
	file, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		return layer, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	packed := sha256.New()
	if layer.diff, err = write(io.MultiWriter(file, packed)); err != nil {
		return layer, err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return layer, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return layer, err
	}
	layer.Descriptor = ocispec.Descriptor{MediaType: mediaType, Digest: digest.NewDigest(digest.SHA256, packed), Size: size}
	return layer, w.push(ctx, layer.Descriptor, io.LimitReader(file, size))
}

// tagImage makes an image of layers, the lowest first.
func (w *workplace) tagImage(ctx context.Context, tag string, layers ...imageLayer) error {
	image := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	var manifest ocispec.Manifest
	for _, l := range layers {
		manifest.Layers, image.RootFS.DiffIDs = append(manifest.Layers, l.Descriptor), append(image.RootFS.DiffIDs, l.diff)
	}
	var err error
	if manifest.Config, err = w.pushJSON(ctx, ocispec.MediaTypeImageConfig, image); err != nil {
		return err
	}
	return w.tag(ctx, tag, manifest)
}
