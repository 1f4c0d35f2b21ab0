//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// loopbackFigure: a long read where nothing is slow but the programs.
var loopbackFigure = figure{
	name: "2b",
	rows: []row{
		{"1 GiB, cold, no limits, verified and on disk", "orasfs", "oras blob fetch -o", seconds, 0.6},
		{"the same", "orasfs", "curl -o", seconds, 0},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		big, err := w.blob(ctx, "big", w.size(1<<30))
		if err != nil {
			return nil, err
		}
		return []step{
			w.toFile("oras blob fetch -o", func(ctx context.Context, file string) error {
				return w.orasFetch(ctx, w.registry, big, file)
			}),
			w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
				began := time.Now()
				if err := w.cat(ctx, m.blob(big)); err != nil {
					return nil, err
				}
				took := time.Since(began).Seconds()
				return results{"orasfs": took}, isKept(m.cache, big)
			}),
			w.toFile("curl -o", func(ctx context.Context, file string) error {
				return w.curlTo(ctx, file, blobURL(w.registry, big))
			}),
		}, nil
	},
}

// toFile is a step that takes the time of something that makes a file.
func (w *workplace) toFile(name string, do func(ctx context.Context, file string) error) step {
	return func(ctx context.Context) (measured results, err error) {
		file := filepath.Join(w.dir, "fetched")
		defer func() { err = errors.Join(err, os.Remove(file)) }()
		return timed(name, func(ctx context.Context) error { return do(ctx, file) })(ctx)
	}
}

func (w *workplace) orasFetch(ctx context.Context, host string, b blob, file string) error {
	return w.run(ctx, w.tool("oras"), "blob", "fetch", "--no-tty", "-o", file, fmt.Sprintf("%s/%s@%s", host, repository, b.Digest))
}

// isKept fails if a cache directory doesn't hold as many bytes as a blob has.
func isKept(dir string, b blob) error {
	total, err := kept(dir)
	if err == nil && total < b.Size {
		err = fmt.Errorf("only %d of %d bytes are on the disk", total, b.Size)
	}
	return err
}

// kept is how many bytes the files below a directory take on the disk.
func kept(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	return total, err
}
