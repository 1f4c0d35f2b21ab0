package release

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A root is a system of its own that has next to nothing: a shell and mount(8),
// and what they are linked with.
type root string

// newRoot makes one with some programs of this machine.
func newRoot(t *testing.T, programs ...string) root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can enter another root directory")
	}
	dir := t.TempDir()
	for _, path := range []string{"dev", "etc", "mnt/oci", "proc", "root", "run", "tmp", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "var/lib/dpkg/updates", "var/lib/dpkg/info"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		copyTo(t, dir, program, "/usr/bin/"+name)
		for _, word := range strings.Fields(run(t, "ldd", program)) {
			if strings.HasPrefix(word, "/") {
				copyTo(t, dir, word, word)
			}
		}
	}
	return root(dir)
}

func copyTo(t *testing.T, dir, from, to string) {
	t.Helper()
	target := filepath.Join(dir, to)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", "--dereference", from, target)
}

// run runs a shell script in the root, with this machine's devices and network,
// and ends all that it leaves behind.
func (r root) run(t *testing.T, script string) string {
	t.Helper()
	return run(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
		`mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && exec env -i PATH=/usr/bin:/usr/sbin HOME=/root chroot "$1" /bin/sh -euc "$2"`,
		"sh", string(r), script)
}

// list lists all that is in the root, sorted.
func (r root) list(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := fs.WalkDir(os.DirFS(string(r)), ".", func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func (r root) path(name string) string { return filepath.Join(string(r), name) }

// TestRootIsClean sees that what is found in a root comes of a package.
func TestRootIsClean(t *testing.T) {
	r := newRoot(t, "sh")
	if out := r.run(t, `command -v orasfs dpkg ls || echo none`); out != "none\n" {
		t.Errorf("a new root has %q", out)
	}
}

// programVersion is what orasfs version prints on this machine.
func programVersion(version string) string {
	return "orasfs " + version + " " + runtime.Version() + " linux/" + runtime.GOARCH + "\n"
}
