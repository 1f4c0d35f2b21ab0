//go:build linux

package main

import (
	"context"
	"maps"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// zstdChunkedFigure: the Debian image with its layer as zstd:chunked, which crane reads
// as the zstd that it is.
var zstdChunkedFigure = figure{
	name: "zstdchunked",
	rows: []row{
		{"tar of the rootfs of a Debian image of zstd:chunked, cold, 20 ms", "tar", "crane export", seconds, 0.6},
		{"the same", "tar", plainTar, seconds, 0},
		{"the first file of it", "first", "crane export", seconds, 0.04},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		position := map[string]string{}
		layer, err := w.withTable(ctx, "zstdchunked", ocispec.MediaTypeImageLayerZstd, estargz.WithCompression(struct {
			*zstdchunked.Compressor
			*zstdchunked.Decompressor
		}{&zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: position}, &zstdchunked.Decompressor{}}))
		if err != nil {
			return nil, err
		}
		maps.Copy(layer.Annotations, position)
		return w.exportOf(ctx, "debian-zstdchunked", layer)
	},
}
