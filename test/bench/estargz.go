//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// estargzFigure: the Debian image with its layer as eStargz.
var estargzFigure = figure{
	name: "estargz",
	rows: []row{
		{"tar of the rootfs of a Debian image of eStargz, cold, 20 ms", "tar", "crane export", seconds, 0.8},
		{"the same", "tar", plainTar, seconds, 0},
		{"the first file of it", "first", "crane export", seconds, 0.04},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		layer, err := w.withTable(ctx, "estargz", ocispec.MediaTypeImageLayerGzip)
		if err != nil {
			return nil, err
		}
		return w.exportOf(ctx, "debian-estargz", layer)
	},
}

// withTable makes the Debian image's layer one that has a table of contents, by the
// program that eStargz comes from.
func (w *workplace) withTable(ctx context.Context, name, mediaType string, options ...estargz.Option) (layer imageLayer, err error) {
	if w.layer == "" {
		return layer, errors.New("-layer is needed")
	}
	var table digest.Digest
	layer, err = w.written(ctx, name, mediaType, func(out io.Writer) (digest.Digest, error) {
		file, err := os.Open(w.layer)
		if err != nil {
			return "", err
		}
		defer file.Close() //nolint:errcheck // it was only read
		info, err := file.Stat()
		if err != nil {
			return "", err
		}
		made, err := estargz.Build(io.NewSectionReader(file, 0, info.Size()), append(options, estargz.WithContext(ctx))...)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(out, made)
		table = made.TOCDigest()
		return made.DiffID(), errors.Join(err, made.Close())
	})
	layer.Annotations = map[string]string{estargz.TOCJSONDigestAnnotation: table.String()}
	return layer, err
}
