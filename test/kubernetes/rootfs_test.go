package kubernetes

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// An image's files are there as a container would see them, and fetched before the pod
// starts if it wants that.
func TestAPodRunsAProgramOfAnImage(t *testing.T) {
	reference := openRegistry(t).host + "/library/busybox:v1"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "bin", "oras"), "cp", "--from-oci-layout", node.path("image.tar")+":test", "--to-plain-http", reference)
	cmd.Env = node.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := pod{
		name:   "rootfs",
		volume: inline(fmt.Sprintf("reference: %q, view: rootfs, warm: before", reference)),
		script: "/data/bin/busybox echo a program of an image" + stay,
	}
	p.run(t)
	p.says(t, "a program of an image\n")
	p.delete(t)
	leavesNothing(t)
}
