//go:build linux

package csi

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A volume is published, again, by another pod, and taken away: twice, and in any order.
func TestPublish(t *testing.T) {
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	attributes := map[string]string{"reference": host + "/org/model:v1"}
	a, b := n.pod("a", attributes), n.pod("b", attributes)
	a.mustPublish()
	a.mustHold("weights", "one")
	a.mustPublish()
	a.mustHold("weights", "one")
	b.mustPublish()
	b.mustHold("weights", "one")
	if pids := n.processes(); len(pids) != 1 {
		t.Errorf("%d processes serve one artifact", len(pids))
	}
	if output, err := a.run("touch", "new"); err == nil || !strings.Contains(output, "Read-only file system") {
		t.Errorf("touch: %s, %v", output, err)
	}
	a.mustUnpublish()
	b.mustHold("weights", "one")
	a.mustUnpublish()
	b.mustUnpublish()
	n.mustBeEmpty()
	a.mustPublish()
	a.mustHold("weights", "one")
}

// The driver is killed, and another finds what it has left.
func TestDriverIsKilled(t *testing.T) {
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	push(fake, "org/model", "v2", "weights", "two")
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	b := n.pod("b", map[string]string{"reference": host + "/org/model:v2"})
	a.mustPublish()
	b.mustPublish()
	serving := n.processes()
	n.stop(unix.SIGKILL)
	a.mustHold("weights", "one")
	n.start()
	a.mustHold("weights", "one")
	a.mustPublish()
	if now := n.processes(); len(now) != len(serving) || len(now) != 2 {
		t.Errorf("%v served, then %v", serving, now)
	}
	a.mustUnpublish()
	b.mustHold("weights", "two")
	// One whose pod is gone while there is no driver.
	n.stop(unix.SIGKILL)
	if err := unix.Unmount(b.target, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(n.pods()); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.mustBeEmpty()
}

// A driver ends what nobody uses of what it finds, but nothing of another driver on the
// same machine.
func TestAnotherDriversProcesses(t *testing.T) {
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	a.mustPublish()
	serving := n.processes()
	another := newNode(t)
	another.mustBeEmpty()
	if now := n.processes(); !slices.Equal(now, serving) {
		t.Errorf("%v served, then %v", serving, now)
	}
	a.mustHold("weights", "one")
	a.mustUnpublish()
}

// What can't be had is refused in words, and leaves nothing.
func TestRefused(t *testing.T) {
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	good := host + "/org/model:v1"
	for name, tc := range map[string]struct {
		attributes map[string]string
		code       codes.Code
		words      []string
	}{
		"unknown":   {map[string]string{"reference": good, "tag": "v1"}, codes.InvalidArgument, []string{`"tag"`, "platform"}},
		"nothing":   {map[string]string{}, codes.InvalidArgument, []string{"reference"}},
		"no host":   {map[string]string{"reference": "org/model:v1"}, codes.InvalidArgument, []string{"HOST"}},
		"no tag":    {map[string]string{"reference": host + "/org/model"}, codes.InvalidArgument, []string{"tag"}},
		"view":      {map[string]string{"reference": good, "view": "all"}, codes.InvalidArgument, []string{"view", "rootfs"}},
		"option":    {map[string]string{"reference": good, "mountOptions": "cache-dir=/etc"}, codes.InvalidArgument, []string{"cache-dir"}},
		"way out":   {map[string]string{"reference": good, "subPath": "../x"}, codes.InvalidArgument, []string{"subPath"}},
		"no tag v9": {map[string]string{"reference": host + "/org/model:v9"}, codes.Internal, []string{"v9"}},
		"no path":   {map[string]string{"reference": good, "subPath": "x"}, codes.Internal, []string{"subPath x"}},
		"a file":    {map[string]string{"reference": good, "subPath": "weights"}, codes.Internal, []string{"is a file"}},
		"globs":     {map[string]string{"reference": good, "include": "*.json"}, codes.InvalidArgument, []string{"warm"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := n.pod(strings.ReplaceAll(name, " ", "-"), tc.attributes)
			err := p.publish()
			mustSay(t, err, tc.words...)
			if status.Code(err) != tc.code {
				t.Errorf("code %s", status.Code(err))
			}
			if _, err := os.Lstat(p.target); !os.IsNotExist(err) {
				t.Errorf("%s is there: %v", p.target, err)
			}
			n.mustBeEmpty()
		})
	}
	p := n.pod("writer", map[string]string{"reference": good})
	req := p.request()
	req.Readonly = false
	_, err := n.NodePublishVolume(t.Context(), req)
	mustSay(t, err, "readOnly: true")
	n.mustBeEmpty()
}
