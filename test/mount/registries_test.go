package mount

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestEveryRegistry mounts without a target: a registry is there once its host
// is named, with the credentials that are for it.
func TestEveryRegistry(t *testing.T) {
	t.Parallel()
	open, closed := serveFake(t), serveFake(t)
	_, original := open.addFile(t, "org/app", 1, small)
	_, secret := closed.addFile(t, "app", 2, small)
	closed.RequireBasic("reader", "right")
	m := prepare(t, "none", "--registry-config", credentialsFile(t, closed.host, "right"))
	m.mount(t)
	if got := m.ls(t); len(got) != 0 {
		t.Errorf("before a host is named the mount lists %q", got)
	}
	if n := open.Count("", "") + closed.Count("", ""); n != 0 {
		t.Errorf("before a host is named %d requests are sent", n)
	}
	m.same(t, original, m.path(open.host, contentPath("org/app")))
	m.same(t, original, m.path(open.host, "org/app:v1/files/content.bin"))
	m.same(t, secret, m.path(closed.host, contentPath("app")))
	for _, r := range open.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s holds a credential of another registry", r.Method, r.Path)
		}
	}
	hosts := []string{open.host, closed.host}
	slices.Sort(hosts)
	if got := m.ls(t); !slices.Equal(got, hosts) {
		t.Errorf("the mount lists %q, want %q", got, hosts)
	}
	if got := m.ls(t, open.host); !slices.Equal(got, []string{"org"}) {
		t.Errorf("the registry lists %q", got)
	}
	output(t, "find", m.dir) // it ends
	m.mountedAs(t, "none")
}

// TestEveryRegistryNames looks for what is no registry.
func TestEveryRegistryNames(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	wrong := serveFake(t)
	wrong.RequireBasic("reader", "right")
	m := prepare(t, "none", "--timeout", "5s", "--registry-config", credentialsFile(t, wrong.host, "wrong"))
	m.mount(t)
	for _, name := range []string{".git", ".Trash", "Thumbs.db", "app", "localhost:5000x", "UPPER.example", "-x.example"} {
		fails(t, notThere, "ls", m.path(name))
	}
	fails(t, noAccess, "ls", m.path(wrong.host))
	m.logs(t, "look up registry", wrong.host, "EACCES")

	website := serveFake(t)
	website.Inject(fakeregistry.Fault{Status: http.StatusNotFound, Body: []byte("<html>")})
	fails(t, notThere, "ls", m.path(website.host))
	if got := m.ls(t); len(got) != 0 {
		t.Errorf("the mount lists %q", got)
	}
	// One that can't be had doesn't hinder the others.
	if got := m.ls(t, f.host, "app", "_tags"); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("the tags are %q", got)
	}
}

// TestEveryRegistrySchemes has one that talks TLS, with an authority of its own,
// beside one on localhost that doesn't.
func TestEveryRegistrySchemes(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	host, ca := serveTLS(t, f.Registry)
	m := mountRegistry(t, "none", "--ca-file", ca)
	m.same(t, original, m.path(host, contentPath("app")))
	m.same(t, original, m.path(f.host, contentPath("app")))
}

// TestEveryRegistryWrongLogin has a wrong password for one that talks TLS: that
// one is refused, and the log says so. The one beside it goes on working.
func TestEveryRegistryWrongLogin(t *testing.T) {
	t.Parallel()
	const wrong = "wr0ng-p4ssword"
	for name, require := range map[string]func(f *fake){
		"basic":  func(f *fake) { f.RequireBasic("reader", password) },
		"bearer": func(f *fake) { f.RequireBearer("reader", password, "", false) },
	} {
		t.Run(name, func(t *testing.T) {
			closed, neighbour := serveFake(t), serveFake(t)
			closed.addFile(t, "app", 1, small)
			require(closed)
			host, ca := serveTLS(t, closed.Registry)
			_, original := neighbour.addFile(t, "app", 2, small)
			m := mountRegistry(t, "none", "-v", "--ca-file", ca, "--registry-config", credentialsFile(t, host, wrong))
			m.same(t, original, m.path(neighbour.host, contentPath("app")))

			fails(t, noAccess, "ls", m.path(host))
			fails(t, noAccess, "cat", m.path(host, contentPath("app")))
			m.logs(t, "level=ERROR", "look up registry", host, "EACCES")
			login := "Basic " + base64.StdEncoding.EncodeToString([]byte("reader:"+wrong))
			if !slices.ContainsFunc(closed.Requests(), func(r fakeregistry.Request) bool { return r.Header.Get("Authorization") == login }) {
				t.Error("nobody has sent the wrong password: the test shows nothing")
			}
			if strings.Contains(m.log(t), wrong) {
				t.Error("the log holds the password")
			}
			m.same(t, original, m.path(neighbour.host, contentPath("app")))
			if got := m.ls(t, neighbour.host, "app/_tags"); !slices.Equal(got, []string{"v1"}) {
				t.Errorf("the tags of the neighbour are %q", got)
			}
			if got := m.ls(t); !slices.Equal(got, []string{neighbour.host}) {
				t.Errorf("the mount lists %q, not the neighbour alone", got)
			}
		})
	}
}

// TestEveryRegistryOutage goes on with what was read while a registry is down. The
// log says so once, not for each name.
func TestEveryRegistryOutage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	tags := []string{"v1"}
	for i := range 2 {
		tags = append(tags, fmt.Sprintf("v1.%d", i))
	}
	pushed := f.AddArtifact("app", "", "application/vnd.example", nil)
	f.Tag("app", pushed.Digest, tags[1:]...)
	m := prepare(t, "none", "--tag-ttl", "1ms", "--timeout", "3s")
	m.mount(t)
	readAll := func() {
		t.Helper()
		m.same(t, original, m.path(f.host, contentPath("app")))
		for _, tag := range tags {
			m.readlink(t, f.host, "app/_tags", tag)
		}
	}
	readAll()
	up := f.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	readAll()
	m.logs(t, "the registry isn't reached", f.host)
	// One that was on its way as the outage began may end one and begin another.
	if n := strings.Count(m.log(t), "the registry isn't reached"); n > 2 {
		t.Errorf("%d lines in the log for one outage", n)
	}
	up()
	readAll()
	before := strings.Count(m.log(t), "the registry isn't reached")
	f.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	readAll()
	eventually(t, "the log says that it is down again", func() bool {
		return strings.Count(m.log(t), "the registry isn't reached") > before
	})
}

// TestEveryRegistryWithoutTarget gives the mount command a mountpoint alone.
func TestEveryRegistryWithoutTarget(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := prepare(t, "none")
	cmd := m.command()
	cmd.Args = slices.DeleteFunc(cmd.Args, func(arg string) bool { return arg == m.target })
	if r := finish(t, cmd); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	if got := m.ls(t, f.host); !slices.Equal(got, []string{"app"}) {
		t.Errorf("the registry lists %q", got)
	}
}

// TestEveryRegistryRefused names what a mount of every registry can't have.
func TestEveryRegistryRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args, env []string
		code      int
		says      string
	}{
		{[]string{"--username", "me", dir}, []string{"ORASFS_PASSWORD=secret"}, 2, "one registry"},
		{[]string{dir}, []string{"ORASFS_PASSWORD=secret"}, 2, "one registry"},
		{[]string{"--view", "files", dir}, nil, 2, "one artifact"},
		{[]string{"localhost:5000"}, nil, 2, "MOUNTPOINT is needed"},
		{[]string{"--ca-file", filepath.Join(dir, "none.pem"), dir}, nil, 1, "none.pem"},
	} {
		m := prepare(t, "none")
		m.env = c.env
		cmd := m.command()
		cmd.Args = append([]string{orasfs, "mount"}, c.args...)
		m.refused(t, cmd, c.code, c.says)
		if mounted(t, dir) {
			t.Errorf("%q: something is mounted", c.args)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the directory holds %v (%v)", entries, err)
	}
}
