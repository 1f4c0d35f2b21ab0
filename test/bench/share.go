//go:build linux

package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
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
	var pushed []imageLayer
	for i := range layers {
		name := fmt.Sprintf("%s-%d", tag, i)
		layer, err := w.layerOf(ctx, name, func(archive *tar.Writer) error {
			for i := range int(size >> 20) {
				header := tar.Header{Name: fmt.Sprintf("%s/%03d", name, i), Size: 1 << 20, Mode: 0o644}
				if err := archive.WriteHeader(&header); err != nil {
					return err
				}
				if _, err := io.Copy(archive, content(header.Name, header.Size)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		pushed = append(pushed, layer)
	}
	return w.tagImage(ctx, tag, pushed...)
}
