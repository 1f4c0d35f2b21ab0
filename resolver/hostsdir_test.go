package resolver

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The file is read again when it changes, and a broken one changes nothing.
func TestMirrorsAreReadAgain(t *testing.T) {
	m := newMirrored(t)
	var log bytes.Buffer
	r := m.connect(t, Options{Log: debugLog(&log)})
	asks := func(when string, mirror bool) {
		t.Helper()
		m.registry.Reset()
		m.mirror.Reset()
		m.checkAll(t, r)
		if of, other := m.mirror.Count("", ""), m.registry.Count("", ""); (of > 0) != mirror || (other > 0) == mirror {
			t.Errorf("%s: %d requests to the mirror, %d to the registry", when, of, other)
		}
	}
	asks("without a file", false)
	m.say(t, "[host.\"http://%s\"]\n")
	asks("with a file", true)
	m.say(t, "[host.\"http://%s\"]\n\ncapabilities = [\"fly\"]\n")
	asks("with a broken one", true)
	if want := hostsFileName + ": toml: line 3"; strings.Count(log.String(), want) != 1 {
		t.Errorf("the log doesn't say %q once:\n%s", want, log.String())
	}
	m.say(t, "# nobody\n")
	asks("with one that names none", false)
	m.say(t, "[host.\"http://%s\"]\n")
	asks("with a good one again", true)
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	asks("without a folder", false)
}

// Reload reads at once what would be read later.
func TestReload(t *testing.T) {
	m := newMirrored(t)
	r := m.connect(t, Options{})
	r.registry.mirrors.dir.every = time.Hour
	if err := r.registry.Reload(); err != nil { // it is an hour from now on
		t.Fatal(err)
	}
	m.say(t, "[host.\"http://%s\"]\n")
	m.checkAll(t, r)
	if n := m.mirror.Count("", ""); n != 0 {
		t.Errorf("%d requests to the mirror before", n)
	}
	if err := r.registry.Reload(); err != nil {
		t.Fatal(err)
	}
	m.registry.Reset()
	m.checkAll(t, r)
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry after", n)
	}
	m.say(t, "x")
	if err := r.registry.Reload(); err == nil || !strings.Contains(err.Error(), hostsFileName) {
		t.Errorf("a broken file: %v", err)
	}
	m.checkAll(t, r)
}

// Reload has another login used at once.
func TestReloadFindsALogin(t *testing.T) {
	m := newMirrored(t)
	m.registry.RequireBasic("alice", "secret")
	config := filepath.Join(t.TempDir(), "config.json")
	login := func(encoded string) {
		writeFile(t, config, `{"auths": {"`+m.at+`": {"auth": "`+encoded+`"}}}`, 0o600)
	}
	login("YWxpY2U6c2VjcmV0")
	r := m.connect(t, Options{RegistryConfigs: []string{config}})
	m.checkAll(t, r)
	before, err := r.registry.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	login("Y2Fyb2w6b3RoZXI=") // which the registry doesn't take
	if err := r.registry.Reload(); err != nil {
		t.Fatal(err)
	}
	m.registry.Reset()
	_, err = r.Resolve(t.Context(), "v1")
	wantStatus(t, err, 401)
	for _, req := range m.registry.Requests() {
		if got := req.Header.Get("Authorization"); got != "" && got != "Basic Y2Fyb2w6b3RoZXI=" {
			t.Errorf("%s %s with %s", req.Method, req.Path, got)
		}
	}
	if after, err := r.registry.Credential(t.Context()); err != nil || after == before {
		t.Errorf("it is taken for the same login: %v", err)
	}
}

// A file that is broken from the beginning is an error, which says where.
func TestBrokenHostsFile(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "# one\n[host.\"https://a:b:c\"]\n")
	_, err := NewRegistry(m.at, Options{HostsDir: m.dir})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(strings.Replace(m.at, ":", "_", 1)+"_", hostsFileName)+": line 2") {
		t.Errorf("error %v", err)
	}
	m.say(t, "ca = \"none.pem\"")
	if _, err = NewRegistry(m.at, Options{HostsDir: m.dir}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its authority: %v", err)
	}
	if _, err = NewRegistry(m.at, Options{HostsDir: filepath.Join(m.dir, "none")}); err != nil {
		t.Errorf("without a folder: %v", err)
	}
}

func TestHostsFolders(t *testing.T) {
	for host, want := range map[string][]string{
		"example.com:5000": {"example.com_5000_", "example.com:5000", "_default"},
		"example.com":      {"example.com", "_default"},
		"[::1]:5000":       {"[::1]_5000_", "[::1]:5000", "_default"},
		"[::1]":            {"[::1]", "_default"},
	} {
		d := hostsDir{root: "/d", host: host}
		got := d.folders()
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "/d/")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
