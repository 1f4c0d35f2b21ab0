//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// diskFigure: what lies in the cache's directory, against a local file with
// the same bytes.
var diskFigure = figure{
	name: "12",
	rows: []row{
		{"4 KiB at random places of 1 GiB in the cache, new mount, the cache's file in the kernel's pages", "random, pages", "local file", seconds, 1.3},
		{"the same, from the disk", "random, disk", "local file on disk", seconds, 1.3},
		{"bytes that the daemon read for that", "daemon's bytes", "bytes asked for", mebibytes, 4},
		{"1 GiB in sequence, after a restart, from the disk", "sequence, disk", "cat of a local file on disk", seconds, 1.1},
		{"the same again, from the kernel's pages", "sequence, pages", "cat of a local file", seconds, 1.1},
	},
	prepare: prepareDisk,
}

func prepareDisk(ctx context.Context, w *workplace) ([]step, error) {
	b, err := w.blob(ctx, "big", w.size(1<<30))
	if err != nil {
		return nil, err
	}
	local, cache := filepath.Join(w.dir, "local"), filepath.Join(w.dir, "warm")
	if err := writeFile(local, content("big", b.Size)); err != nil {
		return nil, err
	}
	fill := w.mounted(cache, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
		return nil, w.cat(ctx, m.blob(b))
	})
	if _, err := fill(ctx); err != nil {
		return nil, err
	}
	file, err := findFile(cache, b)
	if err != nil {
		return nil, err
	}
	reads := w.count(16384)
	random := func(ctx context.Context, m *mount, name string) (results, error) {
		before, err := m.readBytes()
		if err != nil {
			return nil, err
		}
		t, err := w.read(ctx, "random", m.blob(b), strconv.Itoa(reads))
		if err != nil {
			return nil, err
		}
		after, err := m.readBytes()
		return results{name: t.Mean, "daemon's bytes": after - before, "bytes asked for": float64(reads) * page}, err
	}
	return []step{
		func(ctx context.Context) (results, error) { return w.localFile(ctx, local, reads) },
		fromDisk(w.mounted(cache, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
			return random(ctx, m, "random, disk")
		})),
		w.mounted(cache, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
			if err := w.cat(ctx, file); err != nil {
				return nil, err
			}
			return random(ctx, m, "random, pages")
		}),
		fromDisk(w.mounted(cache, w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
			return w.twice(ctx, m.blob(b), "sequence, disk", "sequence, pages")
		})),
	}, nil
}

// fromDisk is a step before which the kernel forgets its pages.
func fromDisk(s step) step {
	return func(ctx context.Context) (results, error) {
		if err := dropPages(); err != nil {
			return nil, err
		}
		return s(ctx)
	}
}

// localFile measures the local file in each way.
func (w *workplace) localFile(ctx context.Context, file string, reads int) (results, error) {
	random := func(name string) step {
		return func(ctx context.Context) (results, error) {
			t, err := w.read(ctx, "random", file, strconv.Itoa(reads))
			return results{name: t.Mean}, err
		}
	}
	return all(ctx,
		fromDisk(random("local file on disk")),
		fromDisk(func(ctx context.Context) (results, error) {
			return w.twice(ctx, file, "cat of a local file on disk", "cat of a local file")
		}),
		random("local file"),
	)
}

// twice reads a file in sequence, and once more.
func (w *workplace) twice(ctx context.Context, file, first, second string) (results, error) {
	cat := func(ctx context.Context) error { return w.cat(ctx, file) }
	return all(ctx, timed(first, cat), timed(second, cat))
}

func writeFile(name string, from io.Reader) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, from)
	return err
}

// findFile finds the file that a cache directory keeps a blob in: it has its
// size, and its digest in its path.
func findFile(dir string, b blob) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, b.Digest.Encoded()) || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() == b.Size {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("%s isn't in the cache", b.Digest)
	}
	return found, err
}
