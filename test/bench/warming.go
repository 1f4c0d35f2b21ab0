//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// warmingFigure: a large blob is brought into the cache without a mount.
var warmingFigure = figure{
	name: "warming",
	rows: []row{{"orasfs warm of 1 GiB, slow link, verified and on disk", "orasfs warm", "8 curl -r -o", seconds, 1.1}},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		big, err := w.blob(ctx, "big", w.size(1<<30))
		if err != nil {
			return nil, err
		}
		config, err := w.pushJSON(ctx, ocispec.MediaTypeEmptyJSON, struct{}{})
		if err != nil {
			return nil, err
		}
		layer := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: big.Digest, Size: big.Size}
		if err := w.tag(ctx, "warming", ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{layer}}); err != nil {
			return nil, err
		}
		return []step{w.warming("orasfs warm", host, "warming", big), w.partFiles("8 curl -r -o", host, big, 8)}, nil
	},
}

// warming is a step that brings what a tag means into an empty cache, which has to have
// a blob then.
func (w *workplace) warming(name, host, tag string, b blob) step {
	return func(ctx context.Context) (measured results, err error) {
		dir := filepath.Join(w.dir, "cache")
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		measured, err = timed(name, func(ctx context.Context) error {
			return w.run(ctx, w.orasfs, "warm", "--quiet", "--cache-dir", dir, host+"/"+repository+":"+tag)
		})(ctx)
		return measured, errors.Join(err, isKept(dir, b))
	}
}

// partFiles downloads a blob with n curls at once, each a part of it into a file.
func (w *workplace) partFiles(name, host string, b blob, n int) step {
	return func(ctx context.Context) (measured results, err error) {
		dir, err := os.MkdirTemp(w.dir, "parts-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		return timed(name, func(ctx context.Context) error {
			return w.rangesTo(ctx, n, blobURL(host, b), b.Size, func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) })
		})(ctx)
	}
}
