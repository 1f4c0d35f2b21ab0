package mount

import (
	"fmt"
	"net/http"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestRegistryKilled kills the registry: what was read goes on working, by its
// digest and by its tag, after the tag's time to live too. What wasn't read is
// an error, in bounded time.
func TestRegistryKilled(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	pushed := r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	unread := r.push(t, folder(t, map[string]string{"unread.txt": "unread\n"}), "hello-artifact:v2", "unread.txt")
	const ttl = time.Second
	m := mountRegistry(t, r.host, "--tag-ttl", ttl.String(), "--timeout", "5s")

	paths := []string{
		"hello-artifact/_tags/v1/files/artifact.txt",
		"hello-artifact:v1/files/artifact.txt",
		"hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/layers/00-artifact.txt",
		"hello-artifact/_blobs/sha256/" + hexOf(helloDigest),
	}
	for _, path := range paths {
		if got := m.cat(t, path); got != "hello world\n" {
			t.Fatalf("%s holds %q", path, got)
		}
	}
	r.signal(t, syscall.SIGKILL)
	for _, when := range []string{"at once", "after the time to live"} {
		t.Run(when, func(t *testing.T) {
			for _, path := range paths {
				r := try(t, "cat", m.path(path))
				if r.code != 0 || r.stdout != "hello world\n" {
					t.Errorf("%s: exit code %d, %q\n%s", path, r.code, r.stdout, r.stderr)
				}
				if r.code == 0 {
					dropCache(t, m.path(path))
				}
			}
			if got := try(t, "readlink", m.path("hello-artifact/_tags/v1")); !strings.HasSuffix(strings.TrimSpace(got.stdout), hexOf(pushed)) {
				t.Errorf("the tag is a link to %q\n%s", got.stdout, got.stderr)
			}
		})
		time.Sleep(2 * ttl) // longer is as good
	}
	m.logs(t, "WARN", "the registry isn't reached", r.host)
	for _, path := range []string{"hello-artifact/_tags/v2/manifest.json", "hello-artifact/_manifests/sha256/" + hexOf(unread) + "/manifest.json", "other/_tags/v1"} {
		if r := try(t, "cat", m.path(path)); r.code == 0 || strings.Contains(r.stderr, notThere) {
			t.Errorf("%s, which nobody can know: exit code %d\n%s%s", path, r.code, r.stdout, r.stderr)
		}
	}
}

// TestStale uses a tag's last digest only for as long as it may.
func TestStale(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host, "--tag-ttl", "100ms", "--max-stale", "1s", "--timeout", "5s")
	link := m.path("app/_tags/v1")
	output(t, "readlink", link)
	f.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	eventually(t, "the stale tag is an error", func() bool { return try(t, "readlink", link).code != 0 })
	m.logs(t, "ERROR", f.host+"/app", "502")
}

// TestStaleWhileDown has a registry that is known to be down, so that nobody asks it:
// a tag's last digest is used as long as it may be, and no longer.
func TestStaleWhileDown(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	long := mountRegistry(t, f.host, "--tag-ttl", "1ms", "--max-stale", "1h", "--timeout", "5s", "-v")
	short := mountRegistry(t, f.host, "--tag-ttl", "1ms", "--max-stale", "1s", "--timeout", "5s", "-v")
	want := long.readlink(t, "app/_tags/v1")
	short.readlink(t, "app/_tags/v1")
	f.Inject(fakeregistry.Fault{Reset: true})
	isDown := func(m *mount) bool { return strings.Contains(m.log(t), "host is down") }
	for down := false; !down; {
		down = isDown(long)
		if got := long.readlink(t, "app/_tags/v1"); got != want {
			t.Fatalf("the tag is a link to %s, not %s; the host is known to be down: %t", got, want, down)
		}
	}
	// The first error may be that of the request by which it turns out to be down.
	eventually(t, "the tag that is too old is an error, which says since when", func() bool {
		return try(t, "readlink", short.path("app/_tags/v1")).code != 0 && strings.Contains(short.log(t), "is down since")
	})
	short.logs(t, "ERROR", f.host+"/app", "is down since")
}

// TestSilentRegistry has a registry give no answer any more: what was read is
// there by its digest at once, though the names on the way to it are older than
// their time to live.
func TestSilentRegistry(t *testing.T) {
	t.Parallel()
	for _, every := range []bool{false, true} {
		t.Run(fmt.Sprintf("every registry %t", every), func(t *testing.T) {
			f := serveFake(t)
			_, original := f.addFile(t, "team/app", 1, small)
			target, dir := f.host, "team/app"
			if every {
				target, dir = "none", f.host+"/team/app"
			}
			m := mountRegistry(t, target, "--tag-ttl", "1ms", "--timeout", "1h")
			file := dir + "/_manifests/sha256/" + path.Base(m.readlink(t, dir, "_tags/v1")) + "/files/content.bin"
			m.same(t, original, m.path(file))
			f.stall("/v2/")
			for range 3 {
				m.same(t, original, m.path(file))
			}
			// All that is asked waits: one question to a host, not one for each name.
			if n := len(slices.DeleteFunc(f.Requests(), func(r fakeregistry.Request) bool { return r.Status != 0 })); n > 1 {
				t.Errorf("%d requests wait for an answer", n)
			}
		})
	}
}

// TestStalledRegistry has a registry take every request and answer none: each
// operation ends with an error, and so does the mount.
func TestStalledRegistry(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, large)
	f.addFile(t, "other", 2, small)
	m := mountRegistry(t, f.host, "--timeout", "2s", "--tag-ttl", "100ms")
	m.ls(t, "app/_tags/v1/")
	f.stall("/v2/")
	for _, args := range [][]string{
		{"cat", m.path("app/_tags/v1/files/content.bin")},
		{"ls", m.path("other/_tags/v1/")},
		{"cat", m.path("app/_tags/v2/manifest.json")},
		{"ls", m.path("app/_tags")},
		{"ls", m.dir},
	} {
		t.Run(strings.Join([]string{args[0], strings.TrimPrefix(args[1], m.dir)}, " "), func(t *testing.T) {
			fails(t, timedOut, args[0], args[1])
		})
	}
}

// TestManySlowAnswers has an operation that takes more answers than its time allows,
// each of which comes in time: it ends with an error all the same.
func TestManySlowAnswers(t *testing.T) {
	t.Parallel()
	const manifests = 200
	f := serveFake(t)
	list := make([]ocispec.Descriptor, manifests)
	for i := range list {
		list[i] = f.AddArtifact("app", "", "application/vnd.example", map[string]string{"number": fmt.Sprint(i)})
	}
	f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":%s}`, asJSON(t, list)))
	m := mountRegistry(t, f.host, "--timeout", "3s", "--tag-ttl", "1h")
	m.ls(t, "app/_tags/v1/platforms")
	f.Reset()
	f.Inject(fakeregistry.Fault{Path: "/manifests/", Delay: 500 * time.Millisecond})
	fails(t, timedOut, "ls", m.path("app/_tags/v1/layout/blobs/sha256"))
	if n := f.Count("", "/manifests/"); n == 0 || n == manifests {
		t.Errorf("%d manifests are asked for", n)
	}
}

// TestUnmountStalled unmounts while readers wait for a registry that doesn't
// answer: it ends, and so do they.
func TestUnmountStalled(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"umount --lazy", "SIGTERM"} {
		t.Run(how, func(t *testing.T) {
			f := serveFake(t)
			layer, _ := f.addFile(t, "app", 1, large)
			m := mountRegistry(t, f.host, "--timeout", "1h")
			m.ls(t, "app/_tags/v1/")
			f.stall("/v2/")
			var readers []*process
			for _, path := range []string{contentPath("app"), "app/_tags/v2", "app/_manifests/latest"} {
				readers = append(readers, start(t, exec.Command("cat", m.path(path))))
			}
			eventually(t, "the registry is asked", func() bool {
				return f.Count(http.MethodGet, "/blobs/"+layer.Digest.String()) > 0 && f.Count("", "/manifests/") > 1
			})
			if how == "SIGTERM" {
				if err := syscall.Kill(m.daemon(t), syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			} else {
				output(t, m.binary, "umount", "--lazy", m.dir)
			}
			if how == "SIGTERM" {
				m.gone(t)
				for _, r := range readers {
					if state := r.wait(t); state.Success() {
						t.Errorf("%s has succeeded", r.cmd)
					}
				}
				return
			}
			eventually(t, "nothing is mounted", func() bool { return !mounted(t, m.dir) })
			for _, r := range readers {
				r.signal(t, syscall.SIGINT)
			}
			m.gone(t)
		})
	}
}

// TestResume reads on after a daemon that was killed in the middle of a blob:
// what had arrived isn't fetched again.
func TestResume(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	const size = 64 * mib
	layer, original := f.addFile(t, "app", 1, size)
	m := mountRegistry(t, f.host)
	file := m.path(contentPath("app"))
	output(t, "dd", "if="+file, "of=/dev/null", "bs=1M", "count=32", "status=none")
	if err := syscall.Kill(m.daemon(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon has gone", func() bool { return len(m.daemons(t)) == 0 })
	output(t, m.binary, "umount", m.dir)
	m.mount(t)
	f.Reset()
	m.same(t, original, file)
	var fetched int64
	for _, r := range f.Matching(http.MethodGet, "/blobs/"+layer.Digest.String()) {
		fetched += r.Bytes
	}
	// The last chunks may have been on their way to the disk.
	if fetched > size-24*mib {
		t.Errorf("%s were fetched again of %s", fmt.Sprint(fetched/mib, " MiB"), fmt.Sprint(size/mib, " MiB"))
	}
}
