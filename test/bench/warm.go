//go:build linux

package main

import (
	"context"
	"errors"
)

// warmFigure: a tar of a rootfs of which the kernel has all names and pages.
var warmFigure = figure{
	name: "warm",
	rows: []row{
		{"tar of the rootfs of a Debian image, from the kernel's pages", "orasfs", "tar of a local copy", seconds, 0},
		{"the same", "orasfs", plainTar, seconds, 1.1},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		if err := w.pushDebian(ctx); err != nil {
			return nil, err
		}
		copied, err := w.unpackedDebian(ctx)
		if err != nil {
			return nil, err
		}
		twice := func(ctx context.Context, name, dir string) (results, error) {
			_, cold := w.time(ctx, tarOf, dir)
			took, err := w.time(ctx, tarOf, dir)
			return results{name: took.Seconds()}, errors.Join(cold, err)
		}
		return []step{
			func(ctx context.Context) (results, error) { return twice(ctx, "tar of a local copy", copied) },
			w.plainFuse(copied, func(ctx context.Context, dir string) (results, error) { return twice(ctx, plainTar, dir) }),
			w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
				return twice(ctx, "orasfs", m.path(repository+":"+debian)+"/")
			}),
		}, nil
	},
}

// plainTar is the least that a FUSE mount costs.
const plainTar = "tar of a FUSE mount of that copy"
