//go:build linux

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shareFigure: what other files that were read in sequence leave to the next.
var shareFigure = figure{
	name: "3",
	rows: []row{{"64 MiB, cold, slow link, after ls of the rootfs of an image of 5 layers", "after ls", "orasfs without the ls", seconds, 1.2}},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		b, err := w.blob(ctx, "reader 0", w.size(64<<20))
		if err != nil {
			return nil, err
		}
		if err := w.pushImage(ctx, "layers", 5, w.size(64<<20)); err != nil {
			return nil, err
		}
		return []step{
			w.mounted("", host, nil, func(ctx context.Context, m *mount) (results, error) {
				if err := w.run(ctx, "ls", "-l", m.path(repository+":layers", "rootfs")+"/"); err != nil {
					return nil, err
				}
				return timed("after ls", func(ctx context.Context) error { return w.cat(ctx, m.blob(b)) })(ctx)
			}),
			w.coldRead("orasfs without the ls", host, nil, b),
		}, nil
	},
}

// pushImage makes an image of gzip layers with files of 1 MiB.
func (w *workplace) pushImage(ctx context.Context, tag string, layers int, size int64) error {
	image := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	var manifest ocispec.Manifest
	for i := range layers {
		layer, diff, err := w.pushLayer(ctx, fmt.Sprintf("%s-%d", tag, i), int(size>>20))
		if err != nil {
			return err
		}
		manifest.Layers, image.RootFS.DiffIDs = append(manifest.Layers, layer), append(image.RootFS.DiffIDs, diff)
	}
	var err error
	if manifest.Config, err = w.pushJSON(ctx, ocispec.MediaTypeImageConfig, image); err != nil {
		return err
	}
	return w.tag(ctx, tag, manifest)
}

func (w *workplace) pushLayer(ctx context.Context, name string, files int) (layer ocispec.Descriptor, diff digest.Digest, err error) {
	file, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		return layer, "", err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	packed, plain := sha256.New(), sha256.New()
	compressor := gzip.NewWriter(io.MultiWriter(file, packed))
	archive := tar.NewWriter(io.MultiWriter(compressor, plain))
	for i := range files {
		header := tar.Header{Name: fmt.Sprintf("%s/%03d", name, i), Size: 1 << 20, Mode: 0o644}
		if err := archive.WriteHeader(&header); err != nil {
			return layer, "", err
		}
		if _, err := io.Copy(archive, content(header.Name, header.Size)); err != nil {
			return layer, "", err
		}
	}
	if err := errors.Join(archive.Close(), compressor.Close()); err != nil {
		return layer, "", err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return layer, "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return layer, "", err
	}
	layer = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.NewDigest(digest.SHA256, packed), Size: size}
	return layer, digest.NewDigest(digest.SHA256, plain), w.push(ctx, layer, io.LimitReader(file, size))
}
