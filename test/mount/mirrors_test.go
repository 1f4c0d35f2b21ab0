package mount

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// hosts is a folder in which it says how registries are reached.
type hosts string

func newHosts(t testing.TB) hosts { return hosts(t.TempDir()) }

// say writes the hosts.toml of a registry, at once as a whole.
func (h hosts) say(t testing.TB, host, file string) {
	t.Helper()
	folder := filepath.Join(string(h), strings.Replace(host, ":", "_", 1)+"_")
	next := filepath.Join(t.TempDir(), "hosts.toml")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(folder, "hosts.toml")); err != nil {
		t.Fatal(err)
	}
}

// ask has mirrors asked before a registry, in this order.
func (h hosts) ask(t testing.TB, host string, mirrors ...string) {
	t.Helper()
	var file strings.Builder
	for _, mirror := range mirrors {
		fmt.Fprintf(&file, "[host.\"http://%s\"]\n", mirror)
	}
	h.say(t, host, file.String())
}

// TestMirrors has a dead mirror and a real pull-through cache asked before a registry,
// which is asked for no content, until the cache is gone.
func TestMirrors(t *testing.T) {
	t.Parallel()
	for name, start := range distributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := startDistribution(t)
			files := folder(t, hello)
			digest := upstream.push(t, files, "team/app:v1", "./artifact.txt")
			upstream.push(t, files, "other:v1", "--artifact-type", "application/vnd.other", "./artifact.txt")
			f := startFront(t, upstream.host)
			cache := start(t, "proxy:\n  remoteurl: http://"+upstream.host+"\n")
			dir := newHosts(t)
			dir.ask(t, f.host, fmt.Sprint("localhost:", freePort(t)), cache.host)
			m := mountRegistry(t, f.host, "--hosts-dir", string(dir))
			for _, file := range []string{"team/app:v1/files/artifact.txt", "team/app@" + digest + "/files/artifact.txt"} {
				if got := m.cat(t, file); got != "hello world\n" {
					t.Errorf("%s holds %q", file, got)
				}
			}
			for _, kind := range []string{"/manifests/", "/blobs/"} {
				if asked := f.requests(kind); len(asked) > 0 {
					t.Errorf("the registry was asked: %v", asked)
				}
			}
			m.logs(t, "level=WARN", "passed over", "connection refused")
			cache.signal(t, syscall.SIGKILL)
			if got := m.cat(t, "other:v1/files/artifact.txt"); got != "hello world\n" {
				t.Errorf("without the cache the file holds %q", got)
			}
			if len(f.requests("/other/")) == 0 {
				t.Error("the registry wasn't asked")
			}
		})
	}
}

// TestLyingMirror has a mirror that gives wrong bytes: nobody reads them with success,
// and who reads again has the right ones. A blob that is checked before its first byte
// is right at once.
func TestLyingMirror(t *testing.T) {
	t.Parallel()
	f, mirror := serveFake(t), serveFake(t)
	dir := newHosts(t)
	dir.ask(t, f.host, mirror.host)
	originals := map[string]string{}
	for repo, size := range map[string]int64{"small": small, "large": 9 * mib} {
		_, originals[repo] = f.addFile(t, repo, 1, size)
		mirror.addFile(t, repo, 1, size)
	}
	mirror.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/blobs/", Flip: true, FlipAt: 1000})
	m := mountRegistry(t, f.host, "--hosts-dir", string(dir))
	if r := try(t, "cat", m.path(contentPath("large"))); r.code == 0 || !strings.Contains(r.stderr, "Input/output error") {
		t.Errorf("who reads what the mirror gives sees exit code %d, %s", r.code, r.stderr)
	}
	m.same(t, originals["large"], m.path(contentPath("large")))
	m.same(t, originals["small"], m.path(contentPath("small")))
	m.logs(t, "level=WARN", mirror.host+" (mirror of "+f.host+")", "digest")

	again := mountRegistry(t, f.host, "--hosts-dir", string(dir))
	again.same(t, originals["small"], again.path(contentPath("small")))
}

// TestHangup has a daemon read again how its registry, or each of all, is reached, and
// go on.
func TestHangup(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"one registry": false, "every registry": true} {
		t.Run(name, func(t *testing.T) {
			f, mirror := serveFake(t), serveFake(t)
			_, original := f.addFile(t, "app", 1, small)
			mirror.addFile(t, "app", 1, small)
			f.addFile(t, "other", 2, small)
			_, other := mirror.addFile(t, "other", 2, small)
			dir := newHosts(t)
			target, below := f.host, ""
			if all {
				target, below = "none", f.host
			}
			m := mountRegistry(t, target, "--hosts-dir", string(dir))
			hangUp := func() {
				t.Helper()
				if err := syscall.Kill(m.daemon(t), syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
			}
			m.same(t, original, m.path(below, contentPath("app")))
			dir.ask(t, f.host, mirror.host)
			hangUp()
			m.logs(t, "mirrors are read again")
			f.Reset()
			m.same(t, other, m.path(below, contentPath("other")))
			f.asksNothing(t, "with a mirror")
			dir.say(t, f.host, "# one\n# two\nserver = 3\n")
			hangUp()
			m.logs(t, "level=ERROR", "hosts.toml: ", "line 3")
			m.same(t, original, m.path(below, contentPath("app")))
		})
	}
}

// TestBrokenHostsFile is told who mounts, with its line.
func TestBrokenHostsFile(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	dir := newHosts(t)
	dir.say(t, f.host, "# one\n[host.\"http://a\"]\ncapabilities = [\"fly\"]\n")
	m := prepare(t, f.host, "-o", "hosts-dir="+string(dir))
	r := finish(t, m.command())
	if r.code != 1 || !strings.Contains(r.stderr, "hosts.toml") || !strings.Contains(r.stderr, "line 3") || !strings.Contains(r.stderr, "fly") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}
