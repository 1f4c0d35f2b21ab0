//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// evictionFigure: a cache directory that holds many files.
var evictionFigure = figure{
	name: "10",
	rows: []row{
		{"orasfs mount with 100,000 files in the cache directory", "mount, many", "orasfs mount with none", seconds, 1.5},
		{"256 MiB, cold, no limits, with them and a disk that is full", "read, many", "orasfs on the same disk without them", seconds, 1.3},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		b, err := w.blob(ctx, "eviction", w.size(256<<20))
		if err != nil {
			return nil, err
		}
		one, err := w.blob(ctx, "one of many", page)
		if err != nil {
			return nil, err
		}
		files := w.count(100_000)
		many := filepath.Join(w.dir, "many")
		if err := w.fillCache(ctx, many, one, files); err != nil {
			return nil, err
		}
		mounting := func(name string) func(context.Context, *mount) (results, error) {
			return func(_ context.Context, m *mount) (results, error) { return results{name: m.took.Seconds()}, nil }
		}
		return []step{
			fromDisk(w.mounted(many, w.registry, nil, mounting("mount, many"))),
			fromDisk(w.mounted("", w.registry, nil, mounting("orasfs mount with none"))),
			w.onSmallDisk("read, many", b, one, files),
			w.onSmallDisk("orasfs on the same disk without them", b, one, 0),
		}, nil
	},
}

// fillCache puts files into a cache directory as if they were blobs that were
// read: where and how the mount itself keeps one.
func (w *workplace) fillCache(ctx context.Context, dir string, one blob, files int) error {
	read := w.mounted(dir, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
		return nil, w.cat(ctx, m.blob(one))
	})
	if _, err := read(ctx); err != nil {
		return err
	}
	model, err := findFile(dir, one)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	return each(ctx, 4, func(ctx context.Context, worker int) error {
		for i := worker; i < files && ctx.Err() == nil; i += 4 {
			name := strings.ReplaceAll(model, one.Digest.Encoded(), digest.FromString(fmt.Sprint(i)).Encoded())
			if err := os.WriteFile(name, data, 0o600); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// onSmallDisk is a step that reads a blob with a cache directory on a disk, a
// tmpfs, that the cache's files leave only a third of the blob's size free of.
// Without any files it has that much more room.
func (w *workplace) onSmallDisk(name string, b, one blob, files int) step {
	return func(ctx context.Context) (measured results, err error) {
		disk := filepath.Join(w.dir, "disk")
		if err := os.Mkdir(disk, 0o700); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.Remove(disk)) }()
		size := int64(w.count(100_000))*page + b.Size/3
		if err := unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, unix.Unmount(disk, unix.MNT_DETACH)) }()
		cache := filepath.Join(disk, "cache")
		if files > 0 {
			if err := w.fillCache(ctx, cache, one, files); err != nil {
				return nil, err
			}
		}
		return w.mounted(cache, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
			return timed(name, func(ctx context.Context) error { return w.cat(ctx, m.blob(b)) })(ctx)
		})(ctx)
	}
}
