//go:build linux

package csi

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// one is a node, an artifact and a pod that has it.
func one(t *testing.T) (fake *fakeregistry.Registry, n *node, a *pod) {
	t.Helper()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	push(fake, "org/model", "v2", "weights", "two")
	n = newNode(t)
	return fake, n, n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
}

// A target may be there, kubelet may have removed it, and it may be below a link.
func TestTargets(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	if err := os.Mkdir(a.target, 0o750); err != nil {
		t.Fatal(err)
	}
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustUnpublish()
	a.mustPublish()
	if err := unix.Unmount(a.target, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(a.target); err != nil {
		t.Fatal(err)
	}
	a.mustUnpublish()
	n.mustBeEmpty()
	if err := os.Remove(filepath.Dir(a.target)); err != nil {
		t.Fatal(err)
	}
	mustSay(t, a.publish(), a.target, "no such file")
	n.mustBeEmpty()
	a.mustUnpublish()
}

// Where kubelet's directory is a link nothing is mounted twice, and all is unmounted.
func TestTargetBelowLink(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	if err := os.Symlink(n.pods(), n.path("link")); err != nil {
		t.Fatal(err)
	}
	a.target = filepath.Join(n.path("link"), "a", "mount")
	for range 3 {
		a.mustPublish()
		a.mustHold("weights", "one")
	}
	if m := n.mounts(); len(m) != 3 { // with the one that is bound, and the ramfs
		t.Errorf("%d mounts", len(m))
	}
	a.mustBeWell()
	a.mustUnpublish()
	n.mustBeEmpty()
}

// What isn't ours at a target stays there, and is an error.
func TestForeignTarget(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	if err := os.Mkdir(a.target, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", a.target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(a.target, "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustSay(t, a.publish(), a.target, "tmpfs")
	n.mustBeEmpty()
	mustSay(t, a.unpublish(), a.target, "tmpfs")
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(a.target, 0); err != nil {
		t.Fatal(err)
	}
	a.mustUnpublish()
	// A file, and a directory with something in it.
	if err := os.WriteFile(a.target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustSay(t, a.publish(), a.target)
	if _, err := os.Stat(a.target); err != nil {
		t.Error(err)
	}
	n.mustBeEmpty()
	if err := os.Remove(a.target); err != nil {
		t.Fatal(err)
	}
	n.write("pods/a/mount/mine", "")
	a.mustPublish()
	a.mustHold("weights", "one")
	mustSay(t, a.unpublish(), a.target, "not empty")
	n.mustBeEmpty()
	if err := os.RemoveAll(a.target); err != nil {
		t.Fatal(err)
	}
	a.mustUnpublish()
}

// A mount that a driver has left whose notes are gone is replaced, or taken away.
func TestForgottenTarget(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	b := n.pod("b", a.attributes)
	a.mustPublish()
	b.mustPublish()
	n.stop(unix.SIGKILL)
	if err := os.RemoveAll(filepath.Join(n.state(), "volumes")); err != nil {
		t.Fatal(err)
	}
	n.start()
	if pids := n.processes(); len(pids) > 0 {
		t.Errorf("%v serve what nobody knows of", pids)
	}
	b.mustUnpublish()
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustUnpublish()
	n.mustBeEmpty()
}

// A volume that is being read can be taken away: its reader doesn't hang.
func TestBusyTarget(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	a.mustPublish()
	f, err := os.Open(filepath.Join(a.target, "weights"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	a.mustUnpublish()
	n.mustBeEmpty()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.ReadAll(f) // to its end, or to an error
	}()
	select {
	case <-read:
	case <-time.After(patience):
		t.Error("a reader hangs")
	}
}

// A target is one volume's.
func TestOneTarget(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	a.mustPublish()
	other := *a
	other.id = "csi-other"
	if err := other.unpublish(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("unpublished with another id: %v", err)
	}
	if err := other.publish(); status.Code(err) != codes.AlreadyExists {
		t.Errorf("published with another id: %v", err)
	}
	for name, value := range map[string]string{"reference": strings.Replace(a.attributes["reference"], ":v1", ":v2", 1), "warm": "background", "subPath": "x", "verify": "full"} {
		p := n.pod("a", a.attributes)
		p.attributes[name] = value
		if err := p.publish(); status.Code(err) != codes.AlreadyExists {
			t.Errorf("published with another %s: %v", name, err)
		}
	}
	a.mustHold("weights", "one")
	if pids := n.processes(); len(pids) != 1 {
		t.Errorf("processes: %v", pids)
	}
}

// Many calls for one target come at once: each is answered, and what comes last holds.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() {
			call := a.publish
			if i%2 == 1 {
				call = a.unpublish
			}
			if err := call(); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	calls.Wait()
	a.mustPublish()
	a.mustHold("weights", "one")
	if m := n.mounts(); len(m) != 3 { // with the one that is bound, and the ramfs
		t.Errorf("%d mounts", len(m))
	}
	a.mustUnpublish()
	n.mustBeEmpty()
}

// Kubelet gives up while the registry says nothing: nothing is left, and the next call
// works.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fakeregistry.Fault{
		"manifest": {Path: "/manifests/", Stall: true},
		"content":  {Path: "/blobs/", Hang: true, CutAt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, host := serve(t)
			pushImage(t, fake, "org/image", "v1", directory("dir/"), regular("dir/file", "one"))
			n := newNode(t, "--timeout=1m")
			a := n.pod("a", map[string]string{"reference": host + "/org/image:v1", "view": "rootfs", "subPath": "dir"})
			goOn := fake.Inject(fault)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				n.awaits("the registry is asked", func() bool { return fake.Count("", fault.Path) > 0 })
				cancel()
			}()
			if _, err := n.NodePublishVolume(ctx, a.request()); status.Code(err) != codes.Canceled {
				t.Errorf("published: %v", err)
			}
			// The call is given up here, and undone there.
			n.awaits("nothing is left", func() bool { return len(n.left("volumes"))+len(n.left("mounts"))+len(n.processes()) == 0 })
			n.mustBeEmpty()
			goOn()
			a.mustPublish()
			a.mustHold("file", "one")
		})
	}
}

// A volume whose unpublishing is given up is unpublished by the next call, process and
// all.
func TestUnpublishGivenUp(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	a.mustPublish()
	n.pause(n.processes())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := n.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: a.id, TargetPath: a.target}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("unpublished: %v", err)
	}
	a.mustUnpublish()
	n.mustBeEmpty()
}
