//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// imageFigure: the root file system of a Debian image of about 90 MB in one
// gzip layer, without limits. The mount is part of what is cold.
var imageFigure = figure{
	name: "image",
	rows: []row{
		{"Debian image, no limits: orasfs mount; cat rootfs/etc/os-release", "first file", pull, seconds, 1},
		{"the same: orasfs mount; tar cf - rootfs", "all, cold", pull, seconds, 2},
		{"the same: tar cf - rootfs, once more", "all, warm", pull, seconds, 0.8},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		if w.layer == "" {
			return nil, errors.New("-layer is needed")
		}
		if err := w.run(ctx, w.tool("crane"), "append", "--oci-empty-base", "-f", w.layer, "-t", w.image()); err != nil {
			return nil, err
		}
		if err := w.run(ctx, w.tool("crane"), "mutate", "--set-platform", "linux/amd64", "-t", w.image(), w.image()); err != nil {
			return nil, err
		}
		if err := w.check(ctx); err != nil {
			return nil, err
		}
		return []step{
			w.pull,
			w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
				took, err := w.time(ctx, `cat "$0/rootfs/etc/os-release"`, m.image())
				return results{"first file": (m.took + took).Seconds()}, err
			}),
			w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
				const all = `tar cf - -C "$0" rootfs | wc -c`
				cold, err := w.time(ctx, all, m.image())
				if err != nil {
					return nil, err
				}
				warm, err := w.time(ctx, all, m.image())
				return results{"all, cold": (m.took + cold).Seconds(), "all, warm": warm.Seconds()}, err
			}),
		}, nil
	},
}

// pull is what a person would do without a mount.
const pull = "crane export | tar x"

// imageName is where the image lies, in a registry and below a mountpoint.
const imageName = "library/debian:12"

func (w *workplace) image() string { return w.registry + "/" + imageName }

// image has a slash at its end because it is a link.
func (m *mount) image() string { return m.path(imageName) + "/" }

// time takes the time of a script.
func (w *workplace) time(ctx context.Context, script string, args ...string) (time.Duration, error) {
	began := time.Now()
	err := w.run(ctx, "bash", append([]string{"-euo", "pipefail", "-c", script}, args...)...)
	return time.Since(began), err
}

func (w *workplace) pull(ctx context.Context) (measured results, err error) {
	dir := filepath.Join(w.dir, "pulled")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	took, err := w.time(ctx, `"$0" export "$1" - | tar x -C "$2"`, w.tool("crane"), w.image(), dir)
	return results{pull: took.Seconds()}, err
}

// check compares the root file system with what umoci unpacks of the image, by
// the tar that GNU tar makes of both, and runs a shell of the image in it.
func (w *workplace) check(ctx context.Context) (err error) {
	layout, bundle := filepath.Join(w.dir, "layout"), filepath.Join(w.dir, "bundle")
	defer func() { err = errors.Join(err, os.RemoveAll(layout), os.RemoveAll(bundle)) }()
	if err := w.run(ctx, w.tool("oras"), "cp", "--to-oci-layout", w.image(), layout+":image"); err != nil {
		return err
	}
	if err := w.run(ctx, "umoci", "unpack", "--image", layout+":image", bundle); err != nil {
		return err
	}
	_, err = w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
		_, err := w.time(ctx, `
			sum() { tar --sort=name --format=gnu --numeric-owner -cf - -C "$1" rootfs | sha256sum; }
			[ "$(sum "$0")" = "$(sum "$1")" ] || { echo "the trees differ" >&2; exit 1; }
			chroot "$0/rootfs" /bin/sh -c '. /etc/os-release && [ "$ID" = debian ] && [ "$(ls /usr/bin | wc -l)" -gt 100 ]'
		`, m.image(), bundle)
		return nil, err
	})(ctx)
	return err
}
