//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// volumeFigure: a model as a Kubernetes volume, against what drivers do that pull it
// and mount that.
var volumeFigure = figure{
	name: "volume",
	rows: []row{
		{"the first byte of 1 GiB, from NodePublishVolume on, cold, slow link", "first byte", "oras pull and a bind mount, first byte", seconds, 0.1},
		{"all of it", "all of it", "oras pull and a bind mount, all of it", seconds, 0},
		{"20 pods of one node read 256 MiB at once: bytes fetched", "20 pods", "bytes of the file", mebibytes, 1.05},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		counter, err := w.countBytes(ctx, host)
		if err != nil {
			return nil, err
		}
		driver := filepath.Join(w.dir, "orasfs-csi")
		if err := w.run(ctx, "go", "build", "-buildvcs=false", "-o", driver, "github.com/orasfs/orasfs/cmd/orasfs-csi"); err != nil {
			return nil, err
		}
		model, err := w.model(ctx, "model", w.size(1<<30))
		if err != nil {
			return nil, err
		}
		shared, err := w.model(ctx, "shared", w.size(256<<20))
		if err != nil {
			return nil, err
		}
		const pods = 20
		return []step{
			w.published(driver, func(ctx context.Context, n *node) (results, error) {
				return w.readTwice("first byte", "all of it", func(ctx context.Context) (string, error) { return n.publish(ctx, host, model, 0) })(ctx)
			}),
			w.pulled(host, model),
			w.published(driver, func(ctx context.Context, n *node) (results, error) {
				before := counter.bytes.Load()
				err := each(ctx, pods, func(ctx context.Context, i int) error {
					target, err := n.publish(ctx, counter.host, shared, i)
					if err != nil {
						return err
					}
					return w.cat(ctx, filepath.Join(target, shared.name))
				})
				return results{"20 pods": float64(counter.bytes.Load() - before), "bytes of the file": float64(shared.Size)}, err
			}),
		}, nil
	},
}

// model pushes an artifact with one file of random bytes, whose name is its tag too.
func (w *workplace) model(ctx context.Context, name string, size int64) (blob, error) {
	b, err := w.blob(ctx, name, size)
	if err != nil {
		return b, err
	}
	config, err := w.pushJSON(ctx, ocispec.MediaTypeEmptyJSON, struct{}{})
	if err != nil {
		return b, err
	}
	layer := b.Descriptor
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: name}
	return b, w.tag(ctx, name, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{layer}})
}

// readTwice reads the first byte of a model in the directory that open gives, then all of
// it. Both times count from before open.
func (w *workplace) readTwice(first, all string, open func(context.Context) (file string, err error)) step {
	return func(ctx context.Context) (results, error) {
		var dir string
		one, err := timed(first, func(ctx context.Context) (err error) {
			if dir, err = open(ctx); err != nil {
				return err
			}
			return w.run(ctx, "head", "-c", "1", filepath.Join(dir, "model"))
		})(ctx)
		if err != nil {
			return nil, err
		}
		rest, err := timed(all, func(ctx context.Context) error { return w.cat(ctx, filepath.Join(dir, "model")) })(ctx)
		return results{first: one[first], all: one[first] + rest[all]}, err
	}
}

// pulled is a step that does what a driver does which pulls a model first.
func (w *workplace) pulled(host string, m blob) step {
	return func(ctx context.Context) (measured results, err error) {
		dir, err := os.MkdirTemp(w.dir, "pulled-")
		if err != nil {
			return nil, err
		}
		target := filepath.Join(dir, "target")
		defer func() {
			err = errors.Join(err, w.run(context.WithoutCancel(ctx), "umount", target), os.RemoveAll(dir))
		}()
		return w.readTwice("oras pull and a bind mount, first byte", "oras pull and a bind mount, all of it", func(ctx context.Context) (string, error) {
			from := filepath.Join(dir, "content")
			if err := w.run(ctx, w.tool("oras"), "pull", "--plain-http", "--no-tty", "-o", from, host+"/"+repository+":"+m.name); err != nil {
				return "", err
			}
			if err := os.Mkdir(target, 0o750); err != nil {
				return "", err
			}
			return target, w.run(ctx, "mount", "--bind", "-o", "ro", from, target)
		})(ctx)
	}
}

// A node has a CSI driver with an empty cache.
type node struct {
	csi.NodeClient
	dir string
}

// published is a step with a node, whose driver runs already.
func (w *workplace) published(driver string, do func(context.Context, *node) (results, error)) step {
	return func(ctx context.Context) (measured results, err error) {
		n := new(node)
		if n.dir, err = os.MkdirTemp(w.dir, "node-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(n.dir)) }()
		endpoint := "unix://" + filepath.Join(n.dir, "csi.sock")
		process := w.command(ctx, driver, "--endpoint="+endpoint, "--node-id=bench", "--orasfs="+w.orasfs,
			"--state-dir="+filepath.Join(n.dir, "state"), "--cache-dir="+filepath.Join(n.dir, "cache"))
		if err := process.Start(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, process.Process.Signal(syscall.SIGTERM), process.Wait()) }()
		conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		if _, err := csi.NewIdentityClient(conn).Probe(ctx, &csi.ProbeRequest{}, grpc.WaitForReady(true)); err != nil {
			return nil, err
		}
		n.NodeClient = csi.NewNodeClient(conn)
		defer func() { err = errors.Join(err, n.unpublish(context.WithoutCancel(ctx))) }()
		return do(ctx, n)
	}
}

// publish publishes a model for the pod of a number, and returns where.
func (n *node) publish(ctx context.Context, host string, m blob, pod int) (target string, err error) {
	id := "pod-" + strconv.Itoa(pod)
	target = filepath.Join(n.dir, id)
	_, err = n.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId: id, TargetPath: target, Readonly: true,
		VolumeContext: map[string]string{"reference": host + "/" + repository + ":" + m.name, "plainHTTP": "true"},
		VolumeCapability: &csi.VolumeCapability{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY},
		},
	})
	return target, err
}

// unpublish takes all volumes away that there may be.
func (n *node) unpublish(ctx context.Context) error {
	targets, err := filepath.Glob(filepath.Join(n.dir, "pod-*"))
	for _, target := range targets {
		_, failed := n.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: filepath.Base(target), TargetPath: target})
		err = errors.Join(err, failed)
	}
	return err
}
