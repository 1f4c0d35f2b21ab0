//go:build linux

package csi

import (
	"os"
	"strings"
	"testing"
)

// A subPath leads to a directory of the artifact, whatever its links say.
func TestSubPath(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	n := newNode(t)
	outside := n.path("outside")
	n.write("outside/file", "of the node")
	pushImage(t, fake, "org/image", "v1",
		directory("dir/"), regular("dir/file", "inside"),
		directory("a/"), directory("a/b/"), symlink("a/b/up", "../../dir"),
		symlink("absolute", "/dir"), symlink("through", "/../../../../../../dir"),
		symlink("out", outside), symlink("up", strings.Repeat("../", 20)+outside[1:]),
		// The path of the node's, within the image.
		directory("tmp/"), directory(outside[1:len(outside)-len("/outside")]+"/"), directory(outside[1:]+"/"), regular(outside[1:]+"/file", "inside"),
		symlink("etc", "/proc/thread-self/cwd/etc"), symlink("magic", "/proc/self/cwd"), symlink("loop", "loop"), symlink("fd", "/proc/self/fd/3"),
	)
	attributes := func(subPath string) map[string]string {
		return map[string]string{"reference": host + "/org/image:v1", "view": "rootfs", "subPath": subPath}
	}
	for _, subPath := range []string{"dir", "a/b/up", "absolute", "through", "out", "up"} {
		p := n.pod(strings.ReplaceAll(subPath, "/", "-"), attributes(subPath))
		p.mustPublish()
		p.mustHold("file", "inside")
		// There's no way up from the directory, either.
		if listed, err := p.run("ls", "../"); err != nil || !strings.Contains(listed, "mount") {
			t.Errorf("above the volume is %q, %v", listed, err)
		}
	}
	if err := os.WriteFile(outside+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for subPath, words := range map[string]string{
		"etc": "no such file", "magic": "no such file", "fd": "no such file", "loop": "too many levels", "nowhere": "no such file", "dir/file": "is a file", "dir/file/x": "is a file",
	} {
		p := n.pod("refused-"+strings.ReplaceAll(subPath, "/", "-"), attributes(subPath))
		mustSay(t, p.publish(), "subPath "+subPath, words)
		if _, err := os.Lstat(p.target); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", p.target, err)
		}
	}
	for _, subPath := range []string{"/dir", "dir/", "dir//b", ".", "..", "../dir", "dir/../dir", "./dir", strings.Repeat("x", 5000)} {
		mustSay(t, n.pod("wrong", attributes(subPath)).publish(), "attribute subPath")
	}
}
