package differential

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	umocilog "github.com/apex/log"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/log"
	umoci "github.com/opencontainers/umoci/oci/layer"
)

// An oracle applies an image's layers to a directory.
type oracle func(root string, tars [][]byte) error

func containerd(root string, tars [][]byte) error {
	for _, t := range tars {
		if _, err := archive.Apply(context.Background(), root, bytes.NewReader(t)); err != nil {
			return err
		}
	}
	return nil
}

func umociUnpack(root string, tars [][]byte) error {
	for _, t := range tars {
		if err := umoci.UnpackLayer(root, bytes.NewReader(t), nil); err != nil {
			return err
		}
	}
	return nil
}

// quiet has the oracles keep what they would log.
func quiet() error {
	umocilog.SetHandler(umocilog.HandlerFunc(func(*umocilog.Entry) error { return nil }))
	return log.SetLevel("fatal")
}

// unpack is what an oracle makes of an image. Its root is some directories below one of
// its own: what gets out of the root by a few ".." stays in there.
func unpack(dir string, apply oracle, tars [][]byte) (t tree, err error) {
	own, err := os.MkdirTemp(dir, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(own) //nolint:errcheck // in a temporary directory
	root := filepath.Join(own, "1", "2", "3", "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := apply(root, tars); err != nil {
		return nil, err
	}
	return readTree(root), nil
}

// refusedEntry gives the entry at which containerd refuses an image, or how many its
// layer has where it is refused at the layer's end.
func refusedEntry(dir string) func(*image) (layer, entry int, is bool) {
	return func(i *image) (layer, entry int, is bool) {
		_, err := unpack(dir, func(root string, tars [][]byte) error {
			for layer = range tars {
				entry = -1
				count := archive.WithFilter(func(*tar.Header) (bool, error) {
					entry++
					return true, nil
				})
				r := bytes.NewReader(tars[layer])
				if _, err := archive.Apply(context.Background(), root, r, count); err != nil {
					if r.Len() == 0 {
						entry = len(i.layers[layer].entries)
					}
					return err
				}
			}
			return nil
		}, i.tars())
		return layer, max(0, entry), err != nil
	}
}

func (i *image) tars() [][]byte {
	var tars [][]byte
	for k := range i.layers {
		tars = append(tars, i.layers[k].tar())
	}
	return tars
}
