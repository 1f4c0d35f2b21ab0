//go:build linux

package csi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a disk of 16 MiB on a node, and returns what fills it, and what makes
// room again.
func (n *node) smallDisk(dir string) (fill, empty func()) {
	n.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := unix.Mount("small-disk", dir, "tmpfs", 0, "size=16m"); err != nil {
		n.t.Fatal(err)
	}
	n.disks = append(n.disks, dir)
	filler := filepath.Join(dir, "filler")
	return func() {
			n.t.Helper()
			f, err := os.Create(filler) //nolint:gosec // of the test
			if err != nil {
				n.t.Fatal(err)
			}
			block := make([]byte, 4096)
			for err == nil {
				_, err = f.Write(block)
			}
			if closed := f.Close(); closed != nil || !errors.Is(err, unix.ENOSPC) {
				n.t.Fatal(err, closed)
			}
		}, func() {
			n.t.Helper()
			if err := os.Remove(filler); err != nil {
				n.t.Fatal(err)
			}
		}
}

// With its state's disk full a driver publishes nothing new, and leaves nothing; what is
// published goes on, is published again and unpublished.
func TestStateDiskIsFull(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	push(fake, "org/model", "v2", "weights", "two")
	var fill, empty func()
	n := newNodeWith(t, func(n *node) { fill, empty = n.smallDisk(n.state()) })
	a := n.podWith("a", map[string]string{"reference": host + "/org/model:v1"}, secret(host, "user", "one"))
	b := n.pod("b", map[string]string{"reference": host + "/org/model:v2"})
	a.mustPublish()
	fill()
	mustSay(t, b.publish(), "no space left")
	if _, err := os.Lstat(b.target); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", b.target, err)
	}
	if left := append(n.left("volumes"), n.left("mounts")...); len(left) != 2 || len(n.processes()) != 1 {
		t.Errorf("left: %v, processes %v", left, n.processes())
	}
	a.mustPublish()
	a.mustHold("weights", "one")
	n.stop(unix.SIGKILL)
	n.start()
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustUnpublish()
	n.mustBeEmpty()
	empty()
	b.mustPublish()
	b.mustHold("weights", "two")
}

// With the cache's disk full volumes are published and read all the same.
func TestCacheDiskIsFull(t *testing.T) {
	t.Parallel()
	_, reference, content, _ := serveModel(t)
	var fill func()
	n := newNodeWith(t, func(n *node) { fill, _ = n.smallDisk(n.path("cache")) })
	a := n.pod("a", map[string]string{"reference": reference})
	a.mustPublish()
	a.mustHold("config.json", content["config.json"])
	fill()
	for name, text := range content {
		a.mustHold(name, text)
	}
	b := n.pod("b", map[string]string{"reference": reference, "view": "files"})
	b.mustPublish()
	for name, text := range content {
		b.mustHold(name, text)
	}
}
