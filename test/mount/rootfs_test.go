package mount

import (
	"path/filepath"
	"testing"
)

// TestRootfs compares the root file system of each image of testdata with what
// it must be: at first, a second time, and after a restart, when nothing may be
// asked of the registry any more.
func TestRootfs(t *testing.T) {
	t.Parallel()
	needRoot(t) // files of others that nobody may read
	for _, c := range fixtureImages {
		tag := c.tag
		if tag == "" {
			tag = "latest"
		}
		t.Run(c.fixture+":"+tag, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			manifest, _ := fixtureManifest(t, f.addFixture(t, c.fixture), tag)
			m := mountRegistry(t, f.host)
			rootfs := m.path(manifestPath(c.fixture, manifest), "rootfs")
			output(t, "ls", rootfs) // its own attributes are the manifest's until somebody looks in
			if c.spec[0] == "" {
				sameBase(t, rootfs, c.allowed...)
			} else {
				sameTree(t, fixtureSpec(t, c.spec), rootfs, c.allowed...)
			}
			f.Reset()
			sum := sumOfTar(t, rootfs)
			f.asksNothing(t, "a second time")
			m.restart(t)
			f.Reset()
			output(t, "ls", rootfs)
			if got := sumOfTar(t, rootfs); got != sum {
				t.Errorf("after a restart tar makes another archive of it: %s, not %s", got, sum)
			}
			f.asksNothing(t, "after a restart")
		})
	}
}

// TestTarDialects looks at what the specification of the dialects can't say.
func TestTarDialects(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "tar-dialects")
	m := mountRegistry(t, f.host)
	for tag, dialects := range map[string]struct{ links, devices []string }{
		"latest": {
			[]string{"d-v7", "d-oldgnu", "d-gnu", "d-ustar", "d-pax", "d-pax-0.0", "d-pax-0.1", "d-pax-1.0"},
			[]string{"d-oldgnu", "d-gnu", "d-pax-0.0", "d-pax-0.1", "d-pax-1.0"},
		},
		"gnu-sparse": {[]string{"d-gnu-sparse", "d-oldgnu-sparse"}, []string{"d-gnu-sparse", "d-oldgnu-sparse"}},
	} {
		rootfs := m.path("tar-dialects:"+tag, "rootfs")
		var groups [][]string
		for _, d := range dialects.links {
			groups = append(groups, []string{d + "/hard", d + "/hello.txt"})
		}
		linkedLike(t, rootfs+"/", groups)
		for _, d := range dialects.devices {
			if got, want := deviceOf(t, filepath.Join(rootfs, d, "null")), "character special file 1:3"; got != want {
				t.Errorf("%s/null is a %s, not a %s", d, got, want)
			}
		}
	}
}

// TestRunFromImage runs programs of an image: one from the mount, and a shell
// that has the root file system for its root.
func TestRunFromImage(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	f.addFixture(t, "base-gzip")
	m := mountRegistry(t, f.host)
	rootfs := m.path("base-gzip:latest/rootfs")
	// A shell runs it: while this process itself starts a program its garbage collector,
	// and with it the registry that the program's bytes come from, may have to wait for
	// that.
	if got := output(t, "sh", "-c", `exec "$0" echo hello`, rootfs+"/bin/busybox"); got != "hello\n" {
		t.Errorf("echo of the image prints %q", got)
	}
	if got, want := output(t, "chroot", rootfs, "/bin/sh", "-c", "cat /etc/os-release && ls /many | busybox wc -l"),
		m.cat(t, "base-gzip:latest/rootfs/etc/os-release")+"300\n"; got != want {
		t.Errorf("in the chroot it prints %q, not %q", got, want)
	}
	// What the mode says and the mount disarms.
	if got := m.stat(t, "%a", "base-gzip:latest/rootfs/modes/setuid"); got != "4755" {
		t.Errorf("the setuid file has mode %s", got)
	}
	fails(t, noAccess, "cat", rootfs+"/special/null")
}

// TestRootfsByName finds the same root file system by every name of the image.
func TestRootfsByName(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	manifest, _ := fixtureManifest(t, f.addFixture(t, "base-gzip"), "latest")
	m := mountRegistry(t, f.host)
	byDigest := m.stat(t, "%i", manifestPath("base-gzip", manifest), "rootfs/bin/busybox")
	for _, name := range []string{"base-gzip/_tags/latest", "base-gzip:latest", "base-gzip@" + manifest.String()} {
		if got := m.stat(t, "%i", name, "rootfs/bin/busybox"); got != byDigest {
			t.Errorf("busybox is inode %s by %s, %s by digest", got, name, byDigest)
		}
		m.ls(t, name)
	}
}

// TestNoRootfs lists no root file system where there is no image.
func TestNoRootfs(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "artifact")
	f.addFixture(t, "helm-chart")
	m := mountRegistry(t, f.host)
	for _, name := range []string{"artifact:dir", "artifact:oci10", "artifact:several", "helm-chart:0.1.0"} {
		for _, entry := range m.ls(t, name+"/") {
			if entry == "rootfs" {
				t.Errorf("%s has a root file system", name)
			}
		}
		fails(t, notThere, "stat", m.path(name, "rootfs"))
	}
}
