package mount

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestMountInOutage mounts while the registry can't be reached, as a machine does
// that starts then: what was read before is there by its names, and the log says
// how old they are.
func TestMountInOutage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "team/app", 1, small)
	f.addFile(t, "team/other", 2, small)
	f.addImage("team/image", "v1", imageOf(t, gzipLayer(t, tarOf(t, regular("etc/name", "it is\n")))))
	const file = "_tags/v1/files/content.bin"
	for name, c := range map[string]struct {
		target  string
		file    string
		image   string
		listing map[string][]string
		whole   map[string]bool // what is listed without asking
	}{
		"every registry": {"none", f.host + "/team/app/" + file, f.host + "/team/image:v1/rootfs/etc/name", map[string][]string{
			"": {f.host}, f.host: {"team"}, f.host + "/team": {"app", "image"}, f.host + "/team/app/_tags": {"v1"},
		}, map[string]bool{"": true}},
		"registry": {f.host, "team/app/" + file, "team/image:v1/rootfs/etc/name", map[string][]string{
			"": {"team"}, "team": {"app", "image"}, "team/app": {"_blobs", "_manifests", "_tags"}, "team/app/_tags": {"v1"},
		}, nil},
		"namespace":  {f.host + "/team", "app:v1/files/content.bin", "image:v1/rootfs/etc/name", map[string][]string{"": {"app", "image"}}, nil},
		"repository": {f.host + "/team/app", file, "", map[string][]string{"": {"_blobs", "_manifests", "_tags"}, "_tags": {"v1"}}, nil},
		"artifact":   {f.host + "/team/app:v1", "content.bin", "", map[string][]string{"": {"content.bin"}}, map[string]bool{"": true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := prepare(t, c.target, "--timeout", "2s")
			m.mount(t)
			read := func(when string) {
				t.Helper()
				m.same(t, original, m.path(c.file))
				if c.image == "" {
					return
				}
				if got := m.cat(t, c.image); got != "it is\n" {
					t.Errorf("%s: the image's file holds %q", when, got)
				}
			}
			read("before")
			m.unmount(t)
			up := f.Inject(fakeregistry.Fault{Reset: true})
			defer up()
			if r := finish(t, m.command()); r.code != 0 || (c.target != "none") != strings.Contains(r.stderr, f.host+" isn't reached") {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			read("in the outage")
			m.logs(t, "WARN", "the registry isn't reached", f.host)
			for dir, want := range c.listing {
				// The registry's list, which has more, can't be had: that is told.
				r := try(t, "ls", m.path(dir))
				if got := strings.Fields(r.stdout); !slices.Equal(got, want) || (r.code == 0) != c.whole[dir] {
					t.Errorf("/%s lists %q, not %q; exit code %d\n%s", dir, got, want, r.code, r.stderr)
				}
			}
			if name == "registry" {
				fails(t, ioError, "cat", m.path("team/other/"+file))
			}
		})
	}
}

// TestMountInFirstOutage has a registry that nobody has met yet, or that was met
// too long ago, or with another credential: a mount of it fails, and says why.
func TestMountInFirstOutage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	never := prepare(t, f.host, "--timeout", "2s")
	old := prepare(t, f.host, "--timeout", "2s", "--max-stale", "1ms")
	other := prepare(t, f.host, "--timeout", "2s", "--username", "first", "--password-stdin")
	tag := prepare(t, f.host+"/app:v1", "--timeout", "2s")
	other.stdin = "secret\n"
	for _, m := range []*mount{old, other} {
		m.mount(t)
		m.readlink(t, "app/_tags/v1")
		m.unmount(t)
	}
	other.flags[3] = "second"
	whole := prepare(t, f.host, "--timeout", "2s")
	whole.cache = tag.cache
	whole.mount(t)
	m := whole
	m.ls(t, "app/_tags") // without asking what the tag is
	m.unmount(t)
	f.Inject(fakeregistry.Fault{Reset: true})
	for _, m := range []*mount{never, old, other, tag} {
		m.refused(t, m.command(), 1, f.host)
	}
}

// TestRealReboot is the same with a registry that is killed.
func TestRealReboot(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.push(t, folder(t, hello), "team/hello:v1", "./artifact.txt")
	m := mountRegistry(t, r.host, "--timeout", "2s")
	if got := m.cat(t, "team/hello:v1/files/artifact.txt"); got != "hello world\n" {
		t.Fatalf("the file holds %q", got)
	}
	m.restart(t)
	r.signal(t, syscall.SIGKILL)
	// One that has lost its registry, and one that is made then.
	for range 2 {
		if got := try(t, "ls", m.path("team/hello/_tags")); got.stdout != "v1\n" || got.code == 0 {
			t.Errorf("the tags are %q, exit code %d", got.stdout, got.code)
		}
		m.restart(t)
	}
	if got := m.cat(t, "team/hello:v1/files/artifact.txt"); got != "hello world\n" {
		t.Errorf("the file holds %q", got)
	}
	if got := try(t, "ls", m.path("team")); got.stdout != "hello\n" || got.code == 0 {
		t.Errorf("the namespace lists %q, exit code %d", got.stdout, got.code)
	}
	fails(t, ioError, "cat", m.path("team/hello:v2/files/artifact.txt"))
}
