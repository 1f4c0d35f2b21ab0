package release

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
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

// command runs a shell script in the root, with this machine's devices and network,
// and ends all that it leaves behind.
func (r root) command(script string) (program string, args []string) {
	return "unshare", []string{
		"--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
		`mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && exec env -i PATH=/usr/bin:/usr/sbin HOME=/root chroot "$1" /bin/sh -euc "$2"`,
		"sh", string(r), script,
	}
}

// run runs a script to its end and gives what it prints.
func (r root) run(t *testing.T, script string) string {
	t.Helper()
	program, args := r.command(script)
	return run(t, program, args...)
}

// A scene is a script in a root that goes on beside the test. Both wait for each other
// by files: the script makes one when it has come so far, the test to have it go on.
type scene struct {
	root  root
	ended chan struct{}
	out   string // once ended is closed, and err
	err   error
}

// begin starts a script, in which await FILE waits for a file in /tmp.
func (r root) begin(t *testing.T, script string) *scene {
	t.Helper()
	s := &scene{root: r, ended: make(chan struct{})}
	program, args := r.command(`await() { until [ -e "/tmp/$1" ]; do sleep 0.1; done; }` + "\n" + script)
	go func() {
		defer close(s.ended)
		s.out, s.err = output(".", nil, program, args...)
	}()
	return s
}

// await waits until the script has made a file in /tmp.
func (s *scene) await(t *testing.T, name string) {
	t.Helper()
	for {
		if _, err := os.Stat(s.root.path("/tmp/" + name)); err == nil {
			return
		}
		select {
		case <-s.ended:
			t.Fatalf("the script ended before %s: %v\n%s", name, s.err, s.out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// goOn makes the file in /tmp that the script awaits.
func (s *scene) goOn(t *testing.T, name string) {
	t.Helper()
	s.root.write(t, "/tmp/"+name, "")
}

// end waits for the script's end and gives what it has printed.
func (s *scene) end(t *testing.T) string {
	t.Helper()
	<-s.ended
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.out
}

func (r root) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(r.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// needFUSE skips a test of a mount where there can't be one.
func needFUSE(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// helloRegistry has two artifacts, hello:v1 and hello:v2, each of a file hello.txt.
func helloRegistry() *fakeregistry.Registry {
	registry := fakeregistry.New()
	for tag, content := range map[string]string{"v1": "hello world\n", "v2": "hello again\n"} {
		layer := registry.AddBlob("hello", []byte(content))
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: "hello.txt"}
		registry.AddArtifact("hello", tag, "application/vnd.example.file", nil, layer)
	}
	return registry
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
