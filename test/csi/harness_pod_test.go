//go:build linux

package csi

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// A pod is what kubelet knows of one volume of one pod.
type pod struct {
	node       *node
	id, target string
	attributes map[string]string
	secrets    map[string]string
	group      string
}

// pod is one with an inline volume that has attributes.
func (n *node) pod(name string, attributes map[string]string) *pod {
	n.t.Helper()
	dir := filepath.Join(n.pods(), name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		n.t.Fatal(err)
	}
	all := map[string]string{
		"csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": name,
		"csi.storage.k8s.io/pod.namespace": "default", "csi.storage.k8s.io/pod.uid": name, "csi.storage.k8s.io/serviceAccount.name": "default",
	}
	for k, v := range attributes {
		all[k] = v
	}
	return &pod{node: n, id: "csi-" + name, target: filepath.Join(dir, "mount"), attributes: all}
}

// request is how kubelet publishes the volume.
func (p *pod) request() *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: p.id, TargetPath: p.target, Readonly: true, VolumeContext: p.attributes, Secrets: p.secrets,
		VolumeCapability: &csi.VolumeCapability{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{VolumeMountGroup: p.group}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		},
	}
}

func (p *pod) publish() error {
	ctx, cancel := context.WithTimeout(p.node.t.Context(), patience)
	defer cancel()
	_, err := p.node.NodePublishVolume(ctx, p.request())
	return err
}

func (p *pod) unpublish() error {
	ctx, cancel := context.WithTimeout(p.node.t.Context(), patience)
	defer cancel()
	_, err := p.node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: p.id, TargetPath: p.target})
	return err
}

func (p *pod) mustPublish() {
	p.node.t.Helper()
	if err := p.publish(); err != nil {
		p.node.t.Fatalf("publish %s: %v", p.id, err)
	}
}

func (p *pod) mustUnpublish() {
	p.node.t.Helper()
	if err := p.unpublish(); err != nil {
		p.node.t.Fatalf("unpublish %s: %v", p.id, err)
	}
	if _, err := os.Lstat(p.target); !os.IsNotExist(err) {
		p.node.t.Fatalf("%s is still there: %v", p.target, err)
	}
}

// run runs a command in the volume and returns what it prints.
func (p *pod) run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(p.node.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", append([]string{"--chdir=" + p.target, name}, args...)...) //nolint:gosec // cat, ls and the like
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// mustHold fails a test unless a file of the volume has a content.
func (p *pod) mustHold(file, content string) {
	p.node.t.Helper()
	got, err := p.run("cat", file)
	if err != nil || got != content {
		p.node.t.Fatalf("%s of %s: %.200q, %v; want %.200q", file, p.id, got, err, content)
	}
}
