//go:build linux

package csi

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// patience is how long anything may take. It bounds a hang, it measures nothing.
const patience = 2 * time.Minute

// A node is a machine with a driver: what the driver keeps there, and where kubelet has
// the volumes of pods.
type node struct {
	t     testing.TB
	dir   string
	flags []string
	disks []string // that a test has mounted

	process *exec.Cmd
	log     *logBuffer
	conn    *grpc.ClientConn
	csi.NodeClient
}

// newNode starts a driver. When the test is over nothing may be left of its volumes.
func newNode(t testing.TB, flags ...string) *node {
	t.Helper()
	return newNodeWith(t, func(*node) {}, flags...)
}

// newNodeWith does so on a node that is prepared before.
func newNodeWith(t testing.TB, prepare func(*node), flags ...string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "node-") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, flags: flags, log: new(logBuffer)}
	for _, d := range []string{n.pods(), n.path("no-mirrors")} {
		if err := os.Mkdir(d, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(n.remove)
	prepare(n)
	n.start()
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }
func (n *node) pods() string            { return n.path("pods") }
func (n *node) state() string           { return n.path("state") }

// start starts the driver, and returns once it answers.
func (n *node) start() {
	n.t.Helper()
	args := []string{"--endpoint=unix://" + n.path("csi.sock"), "--node-id=node", "--runner=" + runner, "--state-dir=" + n.state(),
		"--cache-dir=" + n.path("cache"), "--hosts-dir=" + n.path("no-mirrors"), "--registry-config=" + n.path("no-credentials"), "--timeout=5s", "-v"}
	if _, err := os.Stat(n.path("no-credentials")); err != nil {
		n.write("no-credentials", "{}")
	}
	n.process = exec.Command(driver, append(args, n.flags...)...) //nolint:gosec,noctx // ours
	n.process.Env = append(os.Environ(), "HOME="+n.dir)
	n.process.Stderr = n.log
	if err := n.process.Start(); err != nil {
		n.t.Fatal(err)
	}
	if n.conn == nil {
		n.connect()
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	_, err := csi.NewIdentityClient(n.conn).Probe(ctx, &csi.ProbeRequest{})
	for status.Code(err) == codes.Unavailable && ctx.Err() == nil { // by the connection to the driver before
		_, err = csi.NewIdentityClient(n.conn).Probe(ctx, &csi.ProbeRequest{})
	}
	if err != nil {
		n.t.Fatalf("the driver doesn't answer: %v\n%s", err, n.log)
	}
}

// connect makes a connection, which outlives drivers as kubelet's calls do: a call finds
// the one that there is.
func (n *node) connect() {
	n.t.Helper()
	again := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}}
	conn, err := grpc.NewClient("unix://"+n.path("csi.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(again),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		n.t.Fatal(err)
	}
	n.conn, n.NodeClient = conn, csi.NewNodeClient(conn)
}

// write writes a file of the node.
func (n *node) write(name, content string) string {
	n.t.Helper()
	path := n.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// stop ends the driver: in order, or by a signal that it can't see.
func (n *node) stop(signal unix.Signal) {
	n.t.Helper()
	if n.process == nil {
		return
	}
	if err := n.process.Process.Signal(signal); err != nil {
		n.t.Error(err)
	}
	err := n.process.Wait()
	if signal == unix.SIGTERM && err != nil {
		n.t.Errorf("the driver ended with %v:\n%s", err, n.log)
	}
	n.process = nil
}

// remove ends the driver, looks for what it has left although nothing is published any
// more, and cleans up.
func (n *node) remove() {
	if n.t.Failed() {
		n.t.Logf("the driver's log:\n%s", n.log)
		logs, err := filepath.Glob(n.path("cache/log/*.log"))
		if err != nil {
			n.t.Error(err)
		}
		for _, path := range logs {
			text, err := os.ReadFile(path) //nolint:gosec // of what served
			n.t.Logf("%s, %v:\n%s", path, err, text)
		}
	}
	n.clean()
	n.stop(unix.SIGTERM)
	if err := n.conn.Close(); err != nil {
		n.t.Error(err)
	}
	for _, disk := range n.disks {
		if err := unix.Unmount(disk, 0); err != nil {
			n.t.Error(err)
		}
	}
	for _, m := range n.mounts() { // a failed test's, or the driver's own
		n.t.Errorf("%s is still mounted: %s", m.Mountpoint, m.Source)
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			n.t.Error(err)
		}
	}
	for _, pid := range n.processes() {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			n.t.Error(err)
		}
	}
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Error(err)
	}
}

// clean unpublishes what a test has left published, and fails it where something is
// left that nobody uses.
func (n *node) clean() {
	n.t.Helper()
	if n.process == nil {
		n.start()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.t.Context()), patience)
	defer cancel()
	for _, v := range n.left("volumes") {
		text, err := os.ReadFile(filepath.Join(n.state(), "volumes", v))
		if err != nil {
			n.t.Error(err)
			continue
		}
		id, target := noted(n.t, text)
		if _, err := n.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target}); err != nil {
			n.t.Errorf("unpublish %s: %v", id, err)
		}
	}
	n.mustBeEmpty()
}

// mustBeEmpty fails a test where something is left of a volume.
func (n *node) mustBeEmpty() {
	n.t.Helper()
	for _, m := range n.mounts() {
		if m.FSType == "fuse.orasfs" {
			n.t.Errorf("%s is still mounted: %s", m.Mountpoint, m.Source)
		}
	}
	if pids := n.processes(); len(pids) > 0 {
		n.t.Errorf("processes are left: %v", pids)
	}
	for _, dir := range []string{"volumes", "mounts"} {
		if left := n.left(dir); len(left) > 0 {
			n.t.Errorf("left in %s: %v", dir, left)
		}
	}
	for _, name := range n.left("secrets") {
		if name != "salt" && name != "none" {
			n.t.Errorf("left in secrets: %s", name)
		}
	}
}

// left are the names in a directory of the driver's state.
func (n *node) left(dir string) (names []string) {
	n.t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.state(), dir))
	if err != nil && !os.IsNotExist(err) {
		n.t.Error(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// mounts are those on the node, what covers others first.
func (n *node) mounts() []*mountinfo.Info {
	n.t.Helper()
	all, err := mountinfo.GetMounts(mountinfo.PrefixFilter(n.dir))
	if err != nil {
		n.t.Error(err)
	}
	slices.Reverse(all)
	return all
}

// processes are those that serve volumes of the node.
func (n *node) processes() (pids []int) {
	n.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, path := range paths {
		environment, err := os.ReadFile(path) //nolint:gosec // of a process, which may be gone
		if err != nil || !bytes.Contains(environment, []byte("XDG_RUNTIME_DIR="+n.state())) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err != nil {
			n.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// awaits waits until something is as it will be.
func (n *node) awaits(what string, is func() bool) {
	n.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("never: %s", what)
		}
	}
}

// A logBuffer is what a process logs.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
