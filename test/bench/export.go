//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// exportFigure: all of a Debian image as a tar, and its first file, against the program
// that makes a tar of an image without a mount.
var exportFigure = figure{
	name: "export",
	rows: []row{
		{"tar of the rootfs of a Debian image, cold, 20 ms", "tar, 20 ms", "crane export, 20 ms", seconds, 0.8},
		{"the same, no limits", "tar", "crane export", seconds, 1},
		{"the same", "tar", inflatedTar, seconds, 1.2},
		{"the first file of it, 20 ms", "first, 20 ms", "crane export, 20 ms", seconds, 0.1},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		far, err := w.link(ctx, w.registry, link{latency: 20 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		if err := w.pushDebian(ctx); err != nil {
			return nil, err
		}
		copied, err := w.unpackedDebian(ctx)
		if err != nil {
			return nil, err
		}
		return []step{
			w.plainFuse(copied, func(ctx context.Context, dir string) (results, error) {
				inflating, err := w.time(ctx, `gzip -dc "$0" >/dev/null`, w.layer)
				if err != nil {
					return nil, err
				}
				took, err := w.time(ctx, tarOf, dir)
				return results{inflatedTar: (inflating + took).Seconds()}, err
			}),
			w.craneExport("crane export, 20 ms", far, debian), w.coldTar("tar, 20 ms", far, debian),
			w.coldFirst("first, 20 ms", far, debian),
			w.craneExport("crane export", w.registry, debian), w.coldTar("tar", w.registry, debian),
		}, nil
	},
}

// inflatedTar is what is left where nothing is fetched, kept or checked: the names of a
// directory are known when all of the layer is inflated, and then a FUSE mount reads.
const inflatedTar = "gzip -dc, then tar of a FUSE mount of the tree"

// debian is the tag of the Debian image of one gzip layer.
const debian = "debian"

// tarOf makes a tar of the rootfs in a directory, which nobody gets. tar itself would
// leave the contents out if its output were /dev/null.
const tarOf = `tar cf - -C "$0" rootfs | cat >/dev/null`

// exportOf are the steps that compare orasfs with crane on an image of the Debian layer,
// over a link that answers 20 ms later.
func (w *workplace) exportOf(ctx context.Context, tag string, layer imageLayer) ([]step, error) {
	if err := w.tagImage(ctx, tag, layer); err != nil {
		return nil, err
	}
	far, err := w.link(ctx, w.registry, link{latency: 20 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	copied, err := w.unpackedDebian(ctx)
	if err != nil {
		return nil, err
	}
	return []step{
		w.plainFuse(copied, func(ctx context.Context, dir string) (results, error) {
			took, err := w.time(ctx, tarOf, dir)
			return results{plainTar: took.Seconds()}, err
		}),
		w.craneExport("crane export", far, tag), w.coldTar("tar", far, tag), w.coldFirst("first", far, tag),
	}, nil
}

// craneExport is a step that has crane make a tar of an image.
func (w *workplace) craneExport(name, host, tag string) step {
	return timed(name, func(ctx context.Context) error {
		_, err := w.time(ctx, `"$0" export "$1" - | cat >/dev/null`, w.tool("crane"), host+"/"+repository+":"+tag)
		return err
	})
}

// coldTar is a step that makes a tar of an image's rootfs in a mount with an empty cache.
func (w *workplace) coldTar(name, host, tag string) step {
	return w.cold(name, host, nil, func(ctx context.Context, m *mount) error {
		_, err := w.time(ctx, tarOf, m.path(repository+":"+tag)+"/")
		return err
	})
}

// coldFirst is a step that reads one file of an image in such a mount.
func (w *workplace) coldFirst(name, host, tag string) step {
	return w.cold(name, host, nil, func(ctx context.Context, m *mount) error {
		return w.cat(ctx, m.path(repository+":"+tag, "rootfs/etc/os-release"))
	})
}

// pushDebian makes that image, once.
func (w *workplace) pushDebian(ctx context.Context) error {
	if w.layer == "" {
		return errors.New("-layer is needed")
	}
	if w.hasDebian {
		return nil
	}
	w.hasDebian = true
	layer, err := w.pushFile(ctx, w.layer)
	if err != nil {
		return err
	}
	return w.tagImage(ctx, debian, layer)
}

// unpackedDebian is a directory with its rootfs, which is made once.
func (w *workplace) unpackedDebian(ctx context.Context) (dir string, err error) {
	dir = filepath.Join(w.dir, "copy")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	root := filepath.Join(dir, "rootfs")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	return dir, w.run(ctx, "tar", "xzf", w.layer, "-C", root)
}

// pushFile makes a layer of a .tar.gz.
func (w *workplace) pushFile(ctx context.Context, name string) (layer imageLayer, err error) {
	file, err := os.Open(name)
	if err != nil {
		return layer, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return layer, err
	}
	packed, err := digest.FromReader(file)
	if err != nil {
		return layer, err
	}
	layer.Descriptor = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: packed, Size: info.Size()}
	if layer.diff, err = w.unpackedDigest(ctx, name); err != nil {
		return layer, err
	}
	if _, err := file.Seek(0, 0); err != nil {
		return layer, err
	}
	return layer, w.push(ctx, layer.Descriptor, io.LimitReader(file, info.Size()))
}

// unpackedDigest is the digest of what is in a .gz.
func (w *workplace) unpackedDigest(ctx context.Context, name string) (digest.Digest, error) {
	cmd := exec.CommandContext(ctx, "gzip", "-dc", filepath.Clean(name))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	d, err := digest.FromReader(out)
	return d, errors.Join(err, cmd.Wait())
}
