package mount

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestWarmFailures has one blob of three that can't be had, and a TARGET that isn't
// there: the rest is, and what isn't is told.
func TestWarmFailures(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{small, large} {
		f := serveFake(t)
		a, b, c := f.AddGenerated("app", 1, size), f.AddGenerated("app", 2, size), f.AddGenerated("app", 3, size)
		f.AddArtifact("app", "v1", "application/vnd.example", nil, titled(a, "a"), titled(b, "b"), titled(c, "c"))
		for name, fault := range map[string]fakeregistry.Fault{
			"denied":      {Status: http.StatusForbidden},
			"gone":        {Status: http.StatusNotFound},
			"wrong bytes": {Flip: true, FlipAt: size / 2},
		} {
			m := prepare(t, f.host)
			fault.Path = "/blobs/" + b.Digest.String()
			remove := f.Inject(fault)
			got := m.warmed(t, 1, "--timeout", "2s", f.host+"/app:v1", f.host+"/app:v2")
			remove()
			if got.here(a.Digest) != size || got.here(b.Digest) != 0 || got.here(c.Digest) != size || len(got.Failed) != 2 {
				t.Errorf("%s, %d bytes: %+v", name, size, got)
				continue
			}
			if one, other := got.Failed[0], got.Failed[1]; other.Reference != f.host+"/app:v1" || !strings.Contains(other.Reason, "layers/01-b (sha256:") ||
				one.Reference != f.host+"/app:v2" || !strings.HasSuffix(one.Reason, f.host+" has no app:v2: check the name and the tag") {
				t.Errorf("%s, %d bytes: failures are %q", name, size, got.Failed)
			}
			if m.holds(t, b.Digest) && name == "wrong bytes" {
				t.Errorf("%s, %d bytes: something of it is kept", name, size)
			}
			f.Reset()
			remove = f.Inject(fault)
			r := finish(t, m.warmCommand("--quiet", "--timeout", "2s", f.host+"/app:v1"))
			remove()
			if lines := strings.Count(r.stderr, "\n"); r.code != 1 || r.stdout != "" || lines != 1 || !strings.Contains(r.stderr, "layers/01-b") {
				t.Errorf("%s, %d bytes: exit code %d\n%s%s", name, size, r.code, r.stdout, r.stderr)
			}
			if f.fetched(a.Digest)+f.fetched(c.Digest) != 0 {
				t.Errorf("%s, %d bytes: what is here is fetched again", name, size)
			}
			if m.warm(t, f.host+"/app:v1"); f.fetched(b.Digest) < size {
				t.Errorf("%s, %d bytes: it isn't fetched once it can be had", name, size)
			}
		}
	}
}

// TestWarmWrongOnce has a part come wrong once: it is fetched again.
func TestWarmWrongOnce(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	blob, original := f.addFile(t, "app", 1, large)
	f.flipOnce(blob.Digest.String(), large/2)
	m := prepare(t, f.host)
	m.warm(t, f.host+"/app:v1")
	m.mount(t)
	m.same(t, original, m.path(contentPath("app")))
}

// TestWarmTooLarge is refused before anything is fetched, with what there is room for.
func TestWarmTooLarge(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	a, b := f.AddGenerated("app", 1, 12*mib), f.AddGenerated("app", 2, 12*mib)
	f.AddArtifact("app", "v1", "application/vnd.example", nil, titled(a, "a"), titled(b, "b"), titled(b, "b again"))
	m := prepare(t, f.host)
	r := finish(t, m.warmCommand("--cache-size", "25MiB", f.host+"/app:v1"))
	if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "24MiB") || !strings.Contains(r.stderr, "23.44MiB") || !strings.Contains(r.stderr, "--cache-size") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if n := f.Count("", a.Digest.String()) + f.Count("", b.Digest.String()); n != 0 {
		t.Errorf("%d requests for what there is no room for", n)
	}
	// With just enough, and with a cache that is full of something else.
	f.addFile(t, "other", 3, 20*mib)
	m.warm(t, "--cache-size", "26MiB", f.host+"/other:v1")
	if got := m.warmed(t, 0, "--cache-size", "26MiB", f.host+"/app:v1"); got.Here != got.Size || got.Size != 24*mib+2 {
		t.Errorf("with enough: %+v", got)
	}
}

// TestWarmFullDisk is refused as well where the cache would take more, and so is a
// directory that can't be written.
func TestWarmFullDisk(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	blob, _ := f.addFile(t, "app", 1, 40*mib)
	f.addFile(t, "small", 2, large)
	m := prepare(t, f.host)
	m.warm(t, f.host+"/small:v1")
	seed := filepath.Join(t.TempDir(), "v2")
	for _, c := range []struct{ then, said string }{
		{"true", "make room on the disk"},
		{`mount -o remount,ro "$CACHE"`, "nothing can be written"},
	} {
		f.Reset()
		cmd := hidden(m.warmCommand(f.host+"/app:v1"), `rm -rf "$SEED" && cp -a "$CACHE/v2" "$SEED" && mount -t tmpfs -o size=32m,mode=700 none "$CACHE" && cp -a "$SEED" "$CACHE/v2" && `+c.then)
		cmd.Env = append(cmd.Env, "CACHE="+m.cache, "SEED="+seed)
		r := finish(t, cmd)
		if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, c.said) {
			t.Errorf("%s: exit code %d\n%s%s", c.then, r.code, r.stdout, r.stderr)
		}
		if n := f.Count("", blob.Digest.String()); n != 0 {
			t.Errorf("%s: %d requests for what there is no room for", c.then, n)
		}
	}
}

// TestWarmDamaged finds what is missing of a blob that was here, and fetches that alone.
func TestWarmDamaged(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	blob, original := f.addFile(t, "app", 1, 16*mib)
	m := prepare(t, f.host)
	m.warm(t, f.host+"/app:v1")
	for _, file := range within(t, m.cache+"/v2/blobs/sha256/"+blob.Digest.Encoded()) {
		if strings.HasSuffix(file, "/data") {
			if err := os.Truncate(file, 8*mib); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := m.warmed(t, 0, "--check", f.host+"/app:v1"); got.here(blob.Digest) == 16*mib {
		t.Errorf("half of it is gone: %+v", got)
	}
	m.warm(t, f.host+"/app:v1")
	m.mount(t)
	m.same(t, original, m.path(contentPath("app")))
}

// TestWarmBars has it show on a terminal how far it is: names that can't drive it.
func TestWarmBars(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	long := strings.Repeat("long/", 60) + "end\x1b[2J.bin"
	blob := f.AddGenerated("app", 1, large)
	f.AddArtifact("app", "v1", "application/vnd.example", nil, titled(blob, long))
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + blob.Digest.String(), Delay: 300 * time.Millisecond}) // so that it takes a time
	f.Inject(fakeregistry.Fault{Path: "/manifests/", Delay: time.Second})
	m := prepare(t, f.host)
	typed := func(args ...string) string {
		t.Helper()
		cmd := m.warmCommand(args...)
		shell := exec.Command("script", "--quiet", "--return", "--command", "stty rows 40 cols 140 && "+strings.Join(cmd.Args, " "), "/dev/null")
		shell.Env = append(slices.Clone(cmd.Env), "TERM=xterm")
		r := finish(t, shell)
		if r.code != 0 {
			t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return r.stdout
	}
	shown := typed(f.host + "/app:v1/files")
	for _, want := range []string{`/app:v1/files: what is in it`, `\\x1b\[2J\.bin`, `5\.0 MiB / 5\.0 MiB`, `b/s +[0-9]+s`, `\[=+\]`} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("it doesn't show %s:\n%q", want, shown)
		}
	}
	if strings.Contains(shown, "\x1b[2J") || strings.Contains(shown, "long/long/long/long/long/long/long/long/long") {
		t.Errorf("it shows\n%q", shown)
	}
	if shown := typed("--quiet", f.host+"/app:v1"); shown != "" {
		t.Errorf("--quiet: it shows\n%q", shown)
	}
}
