package mount

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// status is what orasfs status --format json prints of a mount.
type status struct {
	Target, Mountpoint, Version, State, Advice string
	PID                                        int
	Since                                      time.Time
	Hosts                                      []struct {
		Host     string
		Received int64
		Requests []struct {
			Kind, Outcome string
			Count         int
		}
	}
	Trouble []struct {
		Host, Registry, Reason string
		Down                   time.Time
		Waits                  []struct {
			About, Reason string
			Until         time.Time
		}
	}
	Retries  map[string]int
	Reads    struct{ Requests, Bytes, PassthroughOpens int64 }
	Cache    struct{ MemoryHits, DiskHits, Misses, MemoryBytes, DiskBytes, DiskLimit int64 }
	Fetching []struct {
		Origin, Digest string
		Size, Here     int64
		Parts          []float64
		Requests       int
		Rate           float64
		Since          time.Time
	}
	Indexing []struct {
		Digest        string
		Size, Reached int64
	}
	Errors []struct {
		Time           time.Time
		Level, Message string
		Attributes     []struct{ Key, Value string }
	}
}

// statusCommand runs orasfs status as whoever has mounted.
func (m *mount) statusCommand(t testing.TB, args ...string) result {
	t.Helper()
	cmd := exec.Command(m.binary, append([]string{"status"}, args...)...)
	cmd.Env = environment()
	return finish(t, m.user.runs(cmd))
}

// statuses are those of all mounts, or of some.
func (m *mount) statuses(t testing.TB, code int, args ...string) map[string]status {
	t.Helper()
	r := m.statusCommand(t, append([]string{"--format", "json"}, args...)...)
	var list []status
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != code || r.stderr != "" {
		t.Fatalf("%s: exit code %d, not %d, %v\n%s%s", r.command, r.code, code, err, r.stdout, r.stderr)
	}
	of := make(map[string]status)
	for _, s := range list {
		of[s.Mountpoint] = s
	}
	return of
}

// status is the mount's.
func (m *mount) status(t testing.TB) status {
	t.Helper()
	return m.statuses(t, 0, m.dir)[m.dir]
}

// count is how many requests of a kind a host was asked with an outcome; "" is any.
func (s *status) count(host, kind, outcome string) (n int) {
	for _, h := range s.Hosts {
		for _, r := range h.Requests {
			if h.Host == host && (kind == "" || r.Kind == kind) && (outcome == "" || r.Outcome == outcome) {
				n += r.Count
			}
		}
	}
	return n
}

// TestStatus shows a mount after some reads: who it is, and that every request of the
// registry's own log is counted.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	began := time.Now().Add(-time.Second)
	m := mountRegistry(t, f.host)
	output(t, "cat", m.path(contentPath("app")))
	s := m.status(t)
	if s.Target != f.host || s.PID != m.daemon(t) || s.State != "serving" || s.Version == "" || s.Since.Before(began) || s.Since.After(time.Now()) {
		t.Errorf("it is %+v", s)
	}
	for kind, path := range map[string]string{"blob": "/blobs/", "manifest": "/manifests/", "tags": "/tags/", "": ""} {
		if got, want := s.count(f.host, kind, ""), f.Count("", path); got != want || path == "/blobs/" && want == 0 {
			t.Errorf("%d requests of kind %q are counted, %d were made", got, kind, want)
		}
	}
	if len(s.Hosts) != 1 || s.Hosts[0].Received < small || s.Reads.Bytes < small || s.Reads.Requests == 0 || s.Cache.Misses == 0 || s.Cache.MemoryBytes < small || s.Cache.DiskLimit != 10<<30 {
		t.Errorf("counted are %+v, %+v, %+v", s.Hosts, s.Reads, s.Cache)
	}
	if len(s.Trouble)+len(s.Fetching)+len(s.Indexing)+len(s.Errors) > 0 {
		t.Errorf("nothing goes on, and it is %+v", s)
	}
	// What is read again comes from memory.
	dropCache(t, m.path(contentPath("app")))
	output(t, "cat", m.path(contentPath("app")))
	if again := m.status(t); again.Cache.MemoryHits <= s.Cache.MemoryHits || again.count(f.host, "blob", "") != s.count(f.host, "blob", "") {
		t.Errorf("read again: %+v, before: %+v", again.Cache, s.Cache)
	}
	if r := m.statusCommand(t, m.dir); r.code != 0 || !strings.Contains(r.stdout, f.host+" at "+m.dir) || !strings.Contains(r.stdout, "blob 1×200") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestStatusWhileFetching looks at a mount while a registry holds a read back.
func TestStatusWhileFetching(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 1, large)
	more := make(chan struct{})
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + layer.Digest.String(), Hang: true, InBlob: true, CutAt: large / 2, Until: more})
	m := mountRegistry(t, f.host)
	p := start(t, exec.Command("cmp", original, m.path(contentPath("app"))))
	var s status
	const chunk = 256 << 10
	eventually(t, "half of the blob is here", func() bool { // what comes first of it may be any part
		s = m.status(t)
		return len(s.Fetching) == 1 && s.Fetching[0].Here >= large/2/chunk*chunk
	})
	got := s.Fetching[0]
	if got.Digest != layer.Digest.String() || !strings.Contains(got.Origin, f.host) || got.Size != large || got.Here > large/2 || got.Requests == 0 || got.Since.IsZero() {
		t.Errorf("it fetches %+v", got)
	}
	if n := len(got.Parts); n == 0 || got.Parts[0] != 1 || got.Parts[n-1] != 0 {
		t.Errorf("the parts that are here: %v", got.Parts)
	}
	if r := m.statusCommand(t, m.dir); !strings.Contains(r.stdout, layer.Digest.String()) || !strings.Contains(r.stdout, "[###") || !strings.Contains(r.stdout, "...]") {
		t.Errorf("there is no bar:\n%s", r.stdout)
	}
	close(more)
	if state := p.wait(t); !state.Success() {
		t.Errorf("cat: %s", state)
	}
	eventually(t, "nothing is fetched any more", func() bool { return len(m.status(t).Fetching) == 0 })
}

// TestStatusWhileStalled looks at a mount whose registry says nothing, and then at one
// whose registry asks for patience, and is down.
func TestStatusWhileStalled(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	f.addFile(t, "other", 2, small)
	m := mountRegistry(t, f.host, "--timeout", "1m")
	output(t, "cat", m.path(contentPath("app")))
	release := f.stall("/blobs/")
	p := start(t, exec.Command("cat", m.path(contentPath("other"))))
	eventually(t, "the blob is being fetched", func() bool { return len(m.status(t).Fetching) == 1 })
	release()
	_ = p.cmd.Process.Kill()
	<-p.ended

	f.Inject(fakeregistry.Fault{Path: "/tags/list", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "290"}})
	try(t, "ls", m.path("app/_tags"))
	s := m.status(t)
	if len(s.Trouble) != 1 || len(s.Trouble[0].Waits) != 1 {
		t.Fatalf("trouble: %+v", s.Trouble)
	}
	if w := s.Trouble[0].Waits[0]; s.Trouble[0].Host != f.host || time.Until(w.Until) < time.Minute || !strings.Contains(w.Reason, "429") {
		t.Errorf("trouble: %+v", s.Trouble)
	}
	if s.count(f.host, "tags", "429") == 0 || len(s.Errors) == 0 {
		t.Errorf("counted: %+v, errors: %+v", s.Hosts, s.Errors)
	}
	if r := m.statusCommand(t, m.dir); !strings.Contains(r.stdout, "WAITS:") || !strings.Contains(r.stdout, "WARN:") {
		t.Errorf("it prints\n%s", r.stdout)
	}
}

// TestStatusWhileDown looks at a mount whose registry is gone: it is down, and the
// latest errors are told, twenty of them.
func TestStatusWhileDown(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host, "--timeout", "2s")
	f.Inject(fakeregistry.Fault{Reset: true})
	const attempts = 25
	for i := range attempts {
		fails(t, "", "cat", m.path(fmt.Sprintf("app/_tags/v%d/manifest.json", 100+i)))
	}
	s := m.status(t)
	if len(s.Trouble) != 1 || s.Trouble[0].Host != f.host || s.Trouble[0].Down.IsZero() || s.Trouble[0].Reason == "" {
		t.Errorf("trouble: %+v", s.Trouble)
	}
	if len(s.Errors) != 20 {
		t.Fatalf("%d errors are told", len(s.Errors))
	}
	last := s.Errors[len(s.Errors)-1]
	text := fmt.Sprint(last.Attributes)
	if last.Level != "ERROR" || last.Time.IsZero() || !strings.Contains(text, "v124") || !strings.Contains(text, "down") {
		t.Errorf("the last error: %+v", last)
	}
	if s.count(f.host, "", "failed") == 0 {
		t.Errorf("counted: %+v", s.Hosts)
	}
	if r := m.statusCommand(t, m.dir); !strings.Contains(r.stdout, "DOWN:") || !strings.Contains(r.stdout, f.host) {
		t.Errorf("it prints\n%s", r.stdout)
	}
}

// TestStatusFiles looks at the socket, which is the user's own and gone with the mount.
func TestStatusFiles(t *testing.T) {
	t.Parallel()
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	f := serveFake(t)
	m := prepare(t, f.host)
	m.env = []string{"XDG_RUNTIME_DIR=" + run}
	m.mount(t)
	files := within(t, run)
	sockets := strings.Fields(output(t, "find", run, "-type", "s"))
	if len(files) != 1 || len(sockets) != 1 {
		t.Fatalf("the runtime directory holds %q and %q", files, sockets)
	}
	for path, want := range map[string]string{filepath.Join(run, "orasfs"): "700", files[0]: "600", sockets[0]: "600"} {
		if got := strings.TrimSpace(output(t, "stat", "-c", "%a", path)); got != want {
			t.Errorf("%s has mode %s, not %s", path, got, want)
		}
	}
	// From another environment the mount is seen, but not its socket.
	if s := m.status(t); s.State != "unknown" {
		t.Errorf("it is %+v", s)
	}
	m.unmount(t)
	if left := output(t, "find", run, "-mindepth", "2"); left != "" {
		t.Errorf("left is %s", left)
	}
}

// TestStatusInForeignDirectory has somebody else own the directory that the socket
// would be in, and others able to use it: it is made elsewhere, or not at all, and the
// mount works. Nobody is asked there.
func TestStatusInForeignDirectory(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := newUser(t)
	foreign, temporary := filepath.Join(u.home, "orasfs"), filepath.Join("/tmp", "orasfs-"+strconv.Itoa(int(u.id)))
	for _, dir := range []string{foreign, temporary} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o777)); err != nil { // an earlier user had the same number
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil { // empty
				t.Error(err)
			}
		})
	}
	f := serveFake(t)
	m := u.prepare(t, f.host)
	m.mount(t)
	m.logs(t, "WARN", "orasfs status can't ask this mount", foreign+" belongs to another user")
	cmd := exec.Command(m.binary, "status", m.dir)
	cmd.Env = environment()
	r := finish(t, u.runs(cmd))
	if r.code != 0 || !strings.Contains(r.stderr, foreign+" belongs to another user (0)") || !strings.Contains(r.stdout, "unknown: ") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := (&mount{binary: orasfs}).statusCommand(t, m.dir); r.code != 1 || !strings.Contains(r.stderr, "another user's mount") {
		t.Errorf("as root: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestStatusWithoutMounts has nothing to tell.
func TestStatusWithoutMounts(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	r := u.does(t, orasfs, "status")
	if r.code != 0 || r.stdout != "nothing is mounted by you\n" || r.stderr != "" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := u.does(t, orasfs, "status", "--format", "json"); r.code != 0 || r.stdout != "[]\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := u.does(t, orasfs, "status", "a", "b"); r.code != 2 {
		t.Errorf("two mountpoints: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestStatusWatch shows a mount more than once.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := mountRegistry(t, f.host)
	shown := filepath.Join(t.TempDir(), "shown")
	out, err := os.Create(shown)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the command writes it
	cmd := exec.Command(m.binary, "status", "--watch", m.dir)
	cmd.Stdout = out
	p := start(t, cmd)
	eventually(t, "it is shown three times", func() bool {
		content, err := os.ReadFile(shown)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(content), f.host+" at "+m.dir) >= 3
	})
	p.signal(t, syscall.SIGINT)
}
