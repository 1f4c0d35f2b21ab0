package mount

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestTwoRegistriesOneImage has two registries show one image, of which one gives
// wrong bytes or none: what the other shows is right.
func TestTwoRegistriesOneImage(t *testing.T) {
	t.Parallel()
	items := []item{directory("d/"), regular("d/f", strings.Repeat("right\n", 1000)), symlink("d/l", "f")}
	for format, l := range layersOf(t, items) {
		for name, fault := range map[string]fakeregistry.Fault{
			"wrong bytes": {Flip: true, FlipAt: 1200},
			"refuses":     {Status: http.StatusForbidden},
		} {
			t.Run(format+", "+name, func(t *testing.T) {
				t.Parallel()
				evil, good := serveFake(t), serveFake(t)
				evil.addImage("app", "v1", imageOf(t, l))
				good.addImage("app", "v1", imageOf(t, l))
				fault.Path = "/blobs/" + l.descriptor().Digest.String()
				evil.Inject(fault)
				m := prepare(t, "none")
				m.mount(t)
				for _, name := range []string{"", "d", "d/f"} { // whatever comes of it
					try(t, "ls", "-ld", m.path(evil.host, "app:v1/rootfs", name))
				}
				try(t, "cat", m.path(evil.host, "app:v1/rootfs/d/f"))
				sameItems(t, m.path(good.host, "app:v1/rootfs"), items)
				if got := m.readlink(t, good.host, "app:v1/rootfs/d/l"); got != "f" {
					t.Errorf("the link leads to %q", got)
				}
			})
		}
	}
}

// TestDirectoryDuringAPass goes into a directory while its layer arrives: it is the
// same one afterwards.
func TestDirectoryDuringAPass(t *testing.T) {
	t.Parallel()
	l := gzipLayer(t, tarOf(t, bulky(t)...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host, "--timeout", "1h")
	goOn := make(chan struct{})
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + l.descriptor().Digest.String(), Hang: true, CutAt: 12 * mib, InBlob: true, Until: goOn})
	dir := m.path("app:v1/rootfs/usr/lib")
	here := filepath.Join(t.TempDir(), "here")
	shell := start(t, exec.Command("sh", "-c", `cd "$0" && cat lib00.so >"$1" && mv "$1" "$1-now" && while [ -e "$1-now" ]; do sleep 0.1; done
		pwd -P && ls | wc -l && stat -c %i . && stat -c %i "$0"`, dir, here))
	eventually(t, "the first file is read", func() bool {
		info, err := os.Stat(here + "-now")
		return err == nil && info.Size() == mib
	})
	close(goOn)
	if got := len(m.ls(t, "app:v1/rootfs/usr/lib")); got != 24 {
		t.Errorf("%d files in the end", got)
	}
	if err := os.Remove(here + "-now"); err != nil {
		t.Fatal(err)
	}
	if state := shell.wait(t); !state.Success() {
		t.Fatalf("%s: %s", state, shell.stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(shell.stdout.String()), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[0], "/rootfs/usr/lib") || lines[1] != "24" || lines[2] != lines[3] {
		t.Errorf("the shell in the directory prints %q", lines)
	}
}

// TestOpeningThatNobodyWaitsFor interrupts a listing of an image: the rest of its layer
// isn't asked for.
func TestOpeningThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	l := gzipLayer(t, tarOf(t, bulky(t)...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host, "--timeout", "1h", "--concurrency", "1", "-v")
	blob := "/blobs/" + l.descriptor().Digest.String()
	goOn := make(chan struct{})
	f.Inject(fakeregistry.Fault{Path: blob, Hang: true, CutAt: 3 * mib, InBlob: true, Until: goOn})
	p := start(t, exec.Command("ls", m.path("app:v1/rootfs/usr/lib")))
	// Its first bytes are asked for before it is opened.
	eventually(t, "the layer is gone through", func() bool { return f.fetched(l.descriptor().Digest) > 2*mib })
	if state := p.signal(t, syscall.SIGINT); state.Success() {
		t.Error("the interrupted listing has succeeded")
	}
	eventually(t, "the opening has ended", func() bool { return strings.Contains(m.log(t), "nobody waits for an archive") })
	close(goOn)
	eventually(t, "all requests have ended", func() bool {
		return !slices.ContainsFunc(f.Matching(http.MethodGet, blob), func(r fakeregistry.Request) bool { return r.Status == 0 })
	})
	m.ls(t, "app:v1/layers")
	if got := f.fetched(l.descriptor().Digest); got > 8*mib {
		t.Errorf("%d bytes of the layer were fetched for nobody", got)
	}
	if got := len(m.ls(t, "app:v1/rootfs/usr/lib")); got != 24 {
		t.Errorf("%d files in the end", got)
	}
}

// TestAttributesOfRootFS has the kernel forget what it was told: rootfs itself has
// the archive's attributes from the first look on, after a restart too.
func TestAttributesOfRootFS(t *testing.T) {
	t.Parallel()
	root := directory("./")
	root.Mode, root.Uid = 0o750, 7
	f := serveFake(t)
	l := gzipLayer(t, tarOf(t, root, regular("a", "1")))
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host)
	m.ls(t, "app:v1/rootfs")
	for range 2 {
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2\n"), 0); err != nil {
			t.Skipf("only root can have the kernel forget: %v", err)
		}
		if got := m.stat(t, "%a %u", "app:v1/rootfs"); got != "750 7" {
			t.Errorf("rootfs has %s, want 750 7", got)
		}
		m.restart(t)
	}
	if n := f.fetched(l.descriptor().Digest); n != int64(len(l.blob)) {
		t.Errorf("%d bytes of %d were fetched for that", n, len(l.blob))
	}
}

// TestKeptImage mounts again: an image that was opened is shown without a byte of its
// layers.
func TestKeptImage(t *testing.T) {
	t.Parallel()
	var layers []layer
	for k := range 3 {
		var items []item
		for i := range 500 {
			items = append(items, regular(fmt.Sprintf("a/b/c/d/%d/%d-%d", i%7, k, i), ""))
		}
		layers = append(layers, gzipLayer(t, tarOf(t, items...)))
	}
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, layers...))
	m := mountRegistry(t, f.host)
	before := try(t, "find", m.path("app:v1/rootfs/")).stdout
	m.restart(t)
	for _, l := range layers {
		f.Inject(fakeregistry.Fault{Path: "/blobs/" + l.descriptor().Digest.String(), Status: http.StatusInternalServerError})
	}
	if after := try(t, "find", m.path("app:v1/rootfs/")); after.stdout != before || after.code != 0 {
		t.Errorf("find prints something else: %s", after.stderr)
	}
	if n := strings.Count(before, "\n"); n != 1500+12 {
		t.Errorf("%d names", n)
	}
}

// TestLayerThatDoesNotOpen looks at an image again and again whose layer is broken:
// it is gone through once.
func TestLayerThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	good := gzipLayer(t, tarOf(t, bulkyOf(t, 10)...))
	broken := good
	broken.blob = append([]byte(nil), good.blob[:len(good.blob)-1000]...)
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, broken))
	m := mountRegistry(t, f.host)
	for range 5 {
		if r := try(t, "ls", m.path("app:v1/rootfs/")); r.code == 0 {
			t.Error("it opens")
		}
	}
	lines := strings.Count(m.log(t), "open archive")
	if lines == 0 || f.fetched(broken.descriptor().Digest) != int64(len(broken.blob)) {
		t.Errorf("%d lines in the log, %d bytes fetched", lines, f.fetched(broken.descriptor().Digest))
	}
}
