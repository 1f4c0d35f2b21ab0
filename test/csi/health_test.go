//go:build linux

package csi

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// condition is a volume's condition as CSI 1.12, and kubelet up to 1.36, reads it of the
// answer to NodeGetVolumeStats.
func (p *pod) condition() (abnormal bool, message string) {
	p.node.t.Helper()
	stats, err := p.node.NodeGetVolumeStats(p.node.t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: p.id, VolumePath: p.target})
	if err != nil {
		p.node.t.Fatal(err)
	}
	var condition []byte
	eachField(p.node.t, stats.ProtoReflect().GetUnknown(), func(n protowire.Number, value []byte, _ uint64) {
		if n == 2 {
			condition = value
		}
	})
	if condition == nil {
		p.node.t.Fatalf("the statistics have no volume condition: %v", stats)
	}
	eachField(p.node.t, condition, func(n protowire.Number, value []byte, number uint64) {
		switch n {
		case 1:
			abnormal = number != 0
		case 2:
			message = string(value)
		}
	})
	return abnormal, message
}

// eachField reads a message of protobuf.
func eachField(t testing.TB, message []byte, see func(n protowire.Number, value []byte, number uint64)) {
	t.Helper()
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		message = message[size:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(message)
		default:
			t.Fatalf("field %d is of type %d", n, kind)
		}
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		message = message[size:]
		see(n, value, number)
	}
}

// reasons are what NodeGetVolumeHealth says is wrong.
func (p *pod) reasons() string {
	p.node.t.Helper()
	resp, err := p.node.NodeGetVolumeHealth(p.node.t.Context(), &csi.NodeGetVolumeHealthRequest{VolumeId: p.id, VolumePublishPath: p.target})
	if err != nil {
		p.node.t.Fatal(err)
	}
	var reasons []string
	for _, s := range resp.GetVolumeHealth().GetHealthStatuses() {
		reasons = append(reasons, s.GetReason())
	}
	return strings.Join(reasons, " ")
}

func (p *pod) mustBeWell() {
	p.node.t.Helper()
	if abnormal, message := p.condition(); abnormal || message == "" {
		p.node.t.Errorf("%s: abnormal %t, %s", p.id, abnormal, message)
	}
	if r := p.reasons(); r != "" {
		p.node.t.Errorf("%s: %s", p.id, r)
	}
}

func (p *pod) mustBeIll(reason, words string) {
	p.node.t.Helper()
	if abnormal, message := p.condition(); !abnormal || !strings.Contains(message, words) {
		p.node.t.Errorf("%s: abnormal %t, %s; want %q", p.id, abnormal, message, words)
	}
	if r := p.reasons(); r != reason {
		p.node.t.Errorf("%s: %q, want %s", p.id, r, reason)
	}
}

// kill kills what serves the node's volumes, as the kernel does where there is no memory.
func (n *node) kill() {
	n.t.Helper()
	for _, pid := range n.processes() {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			n.t.Fatal(err)
		}
	}
	n.awaits("no process serves", func() bool { return len(n.processes()) == 0 })
}

// pause stops processes: they don't answer, and don't end when they are asked to.
func (n *node) pause(pids []int) {
	n.t.Helper()
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			n.t.Fatal(err)
		}
		n.awaits("the process has stopped", func() bool {
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
			return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
				stat, err := os.ReadFile(path) //nolint:gosec // of a thread, which may be gone
				return err == nil && !bytes.Contains(stat, []byte(") T "))
			})
		})
	}
}

// The process that serves two pods is killed: both are said to be ill, and each is well
// again once it has been published.
func TestServingProcessIsKilled(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	attributes := map[string]string{"reference": host + "/org/model:v1"}
	a, b := n.pod("a", attributes), n.pod("b", attributes)
	a.mustPublish()
	b.mustPublish()
	a.mustBeWell()
	b.mustBeWell()
	n.kill()
	for _, p := range []*pod{a, b} {
		p.mustBeIll("ServingProcessEnded", "has ended")
		if output, err := p.run("cat", "weights"); err == nil || !strings.Contains(output, "not connected") {
			t.Errorf("a pod whose process was killed: %s, %v", output, err)
		}
	}
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustBeWell()
	b.mustBeIll("ServingProcessEnded", "has ended")
	b.mustPublish()
	b.mustHold("weights", "one")
	b.mustBeWell()
	if pids := n.processes(); len(pids) != 1 {
		t.Errorf("%d processes serve one artifact", len(pids))
	}
	n.kill()
	a.mustUnpublish()
	b.mustUnpublish()
	n.mustBeEmpty()
}

// What was published, and can't be again for a while, isn't taken away: neither where it
// is read nor where its process was killed.
func TestPublishedAgainInVain(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	artifact := push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1", "mountOptions": "tag-ttl=0s"})
	a.mustPublish()
	a.mustHold("weights", "one")
	fake.Untag("org/model", "v1")
	a.mustPublish()
	a.mustHold("weights", "one")
	n.kill()
	if err := a.publish(); err == nil {
		t.Error("published without its tag")
	}
	a.mustBeIll("ServingProcessEnded", "has ended")
	if _, err := os.ReadDir(a.target); err == nil {
		t.Error("the volume of a running pod was replaced by an empty directory")
	}
	fake.Tag("org/model", artifact.Digest, "v1")
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustBeWell()
}

// An endingServer answers as the kernel does for a process that was killed while it was
// being asked.
type endingServer struct{ fuse.RawFileSystem }

// StatFs implements fuse.RawFileSystem.
func (endingServer) StatFs(<-chan struct{}, *fuse.InHeader, *fuse.StatfsOut) fuse.Status {
	return fuse.EIO
}

// Who is asked the moment it is killed isn't taken for one that serves.
func TestServingProcessEndsWhileItIsAsked(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	var ending *fuse.Server
	t.Cleanup(func() {
		if ending != nil {
			ending.Wait() // the node has unmounted it
		}
	})
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	a.mustPublish()
	n.kill()
	mountpoint := filepath.Join(n.state(), "mounts", n.left("mounts")[0])
	if err := unix.Unmount(mountpoint, 0); err != nil {
		t.Fatal(err)
	}
	var err error
	ending, err = fuse.NewServer(endingServer{fuse.NewDefaultRawFileSystem()}, mountpoint, &fuse.MountOptions{Name: "orasfs", DirectMount: true})
	if err != nil {
		t.Fatal(err)
	}
	go ending.Serve()
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustBeWell()
}

// A process that doesn't answer for a while isn't ended: others read what it serves.
func TestSlowProcess(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	a.mustPublish()
	serving := n.processes()
	n.pause(serving)
	a.mustBeIll("NotAnswering", "doesn't answer")
	published := make(chan error)
	go func() { published <- a.publish() }()
	if r := a.reasons(); r != "NotAnswering" { // which takes a while to say
		t.Error(r)
	}
	for _, pid := range serving {
		if err := unix.Kill(pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	a.mustHold("weights", "one")
	if now := n.processes(); len(now) != 1 || now[0] != serving[0] {
		t.Errorf("%v served, then %v", serving, now)
	}
}

// What isn't published isn't known.
func TestHealthOfNothing(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	a.mustPublish()
	for _, tc := range []struct {
		id, path string
		code     codes.Code
	}{
		{"", a.target, codes.InvalidArgument},
		{a.id, "", codes.InvalidArgument},
		{a.id, "/nowhere", codes.NotFound},
		{"other", a.target, codes.NotFound},
	} {
		_, err := n.NodeGetVolumeStats(t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: tc.id, VolumePath: tc.path})
		if status.Code(err) != tc.code {
			t.Errorf("statistics of %q at %q: %v, want %s", tc.id, tc.path, err, tc.code)
		}
	}
	health, err := n.NodeGetVolumeHealth(t.Context(), &csi.NodeGetVolumeHealthRequest{VolumeId: a.id})
	if err != nil || health.GetVolumeHealth().GetVolumeId() != a.id {
		t.Errorf("health without a path: %v, %v", health, err)
	}
	if err := unix.Unmount(a.target, 0); err != nil {
		t.Fatal(err)
	}
	a.mustBeIll("NotMounted", "nothing is mounted")
	a.mustPublish()
	a.mustBeWell()
}
