package mount

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cacheCommand runs orasfs cache for the mount's cache.
func (m *mount) cacheCommand(t testing.TB, args ...string) result {
	t.Helper()
	cmd := exec.Command(m.binary, append([]string{"cache", args[0], "--cache-dir", m.cache}, args[1:]...)...)
	cmd.Env = environment()
	return finish(t, cmd)
}

// stock is a part of what orasfs cache info prints.
type stock struct {
	Count, Partial int
	Bytes          int64
}

// TestCacheCommand looks after the cache of a mount that goes on.
func TestCacheCommand(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "team/app", 1, large)
	f.addFile(t, "other", 2, small)
	m := mountRegistry(t, f.host)
	file := m.path("team/app:v1/files/content.bin")
	m.same(t, original, file)
	output(t, "cat", m.path("other:v1/files/content.bin"))

	var info struct {
		stock
		Registries []struct {
			Registry string
			stock
			Repositories []struct {
				Repository string
				stock
			}
		}
	}
	eventually(t, "the cache holds both repositories' content, whole", func() bool {
		r := m.cacheCommand(t, "info", "--format", "json")
		info.Registries = nil
		if err := json.Unmarshal([]byte(r.stdout), &info); r.code != 0 || err != nil {
			t.Fatalf("exit code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
		}
		return len(info.Registries) == 1 && len(info.Registries[0].Repositories) == 2 && info.Partial == 0
	})
	of := info.Registries[0]
	if of.Registry != f.host || of.Bytes < large+small || of.Bytes > info.Bytes {
		t.Errorf("the registry has %+v", of)
	}
	for i, name := range []string{f.host + "/other", f.host + "/team/app"} {
		// Its manifest, the file, the empty config or not.
		if got := of.Repositories[i]; got.Repository != name || got.Count < 2 || got.Bytes > of.Bytes {
			t.Errorf("the repository %s has %+v", name, got)
		}
	}
	if r := m.cacheCommand(t, "info"); r.code != 0 || !strings.Contains(r.stdout, "team/app") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := m.cacheCommand(t, "verify"); r.code != 0 || !strings.Contains(r.stdout, " 0 wrong") || r.stderr != "" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	// A damage is found, removed, and read again from the registry.
	m.unmount(t)
	var damaged string
	for _, path := range within(t, filepath.Join(m.cache, "v2/blobs")) {
		if strings.HasSuffix(path, "/data") {
			damaged = path
		}
	}
	flip(t, damaged, 100)
	hex := filepath.Base(filepath.Dir(damaged))
	if r := m.cacheCommand(t, "verify"); r.code != 1 || !strings.Contains(r.stdout, hex) || !strings.Contains(r.stdout, "removed") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if _, err := os.Lstat(damaged); !os.IsNotExist(err) {
		t.Errorf("what is wrong is there (%v)", err)
	}
	m.mount(t)
	m.same(t, original, file)

	// All of it may go under a mount.
	if r := m.cacheCommand(t, "prune", "--size", "0", "--format", "json"); r.code != 0 || !strings.Contains(r.stdout, `"removed"`) {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	m.same(t, original, file)
	for _, args := range [][]string{{"prune", "--size", "much"}, {"prune", "--age", "-1h"}, {"info", "--format", "yaml"}} {
		if r := m.cacheCommand(t, args...); r.code != 2 {
			t.Errorf("%q: exit code %d, not 2\n%s", args, r.code, r.stderr)
		}
	}
	missing := prepare(t, f.host)
	if r := missing.cacheCommand(t, "info"); r.code != 1 || !strings.Contains(r.stderr, "no cache in") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

// within are the files below a directory.
func within(t testing.TB, dir string) []string {
	t.Helper()
	return strings.Fields(output(t, "find", dir, "-type", "f"))
}

// flip changes one byte of a file.
func flip(t testing.TB, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
