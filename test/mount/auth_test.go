package mount

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestBasicAuth mounts a registry behind TLS and a password. Who doesn't know
// it hears so from the mount command.
func TestBasicAuth(t *testing.T) {
	t.Parallel()
	r, ca := startClosedDistribution(t)
	r.push(t, folder(t, hello), "hello:v1", "--ca-file", ca, "--username", "reader", "--password", password, "artifact.txt")

	t.Run("right", func(t *testing.T) {
		m := mountRegistry(t, r.host, "--ca-file", ca, "--registry-config", credentialsFile(t, r.host, password))
		if got := m.ls(t); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("the registry lists %q", got)
		}
		if got := m.cat(t, "hello:v1/files/artifact.txt"); got != hello["artifact.txt"] {
			t.Errorf("the file holds %q", got)
		}
	})
	for name, c := range map[string]struct {
		give func(t *testing.T, m *mount)
		says []string
	}{
		"none": {func(*testing.T, *mount) {}, []string{"401", "oras login " + r.host}},
		"wrong": {func(_ *testing.T, m *mount) {
			m.flags, m.stdin = append(m.flags, "--username", "reader", "--password-stdin"), "wrong\n"
		}, []string{"401", "username and password"}},
		"wrong, in a file": {func(t *testing.T, m *mount) {
			m.flags = append(m.flags, "--registry-config", credentialsFile(t, r.host, "wrong"))
		}, []string{"401", "login that is configured"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := prepare(t, r.host, "--ca-file", ca)
			c.give(t, m)
			m.refused(t, m.command(), 1, append(c.says, r.host)...)
			if mounted(t, m.dir) {
				t.Error("something is mounted")
			}
		})
	}
}

// TestTokenAuth mounts a registry behind TLS and a token server that gives a
// user tokens for all repositories but one. What is in that one is refused, by
// one line in the log each, and what is beside and below it goes on working.
func TestTokenAuth(t *testing.T) {
	t.Parallel()
	const open, secret, below = "team/open", "team/secret", "team/secret/below"
	for name, deny := range map[string]func(f *fake){
		"catalog":       func(f *fake) { f.Deny(secret) },
		"no catalog":    func(f *fake) { f.Deny(secret); f.DenyCatalog() },
		"token refused": func(f *fake) { f.Deny(secret); f.RefuseTokens() },
	} {
		t.Run(name, func(t *testing.T) {
			f := serveFake(t)
			layer, _ := f.addFile(t, secret, 1, small)
			_, original := f.addFile(t, open, 2, small)
			f.addFile(t, below, 2, small)
			f.RequireBearer("reader", password, "", false)
			deny(f)
			host, ca := serveTLS(t, f.Registry)
			m := prepare(t, host, "-v", "--ca-file", ca, "--username", "reader", "--password-stdin")
			m.stdin = password + "\n"
			m.mount(t)

			m.same(t, original, m.path(contentPath(open)))
			for _, path := range []string{"_tags", "_tags/v1/manifest.json", "_manifests/v1", "_blobs/" + layer.Digest.String()} {
				m.deniedOnce(t, secret, "ls", m.path(secret, path))
			}
			m.deniedOnce(t, secret, "cat", m.path(secret+":v1/files/content.bin"))
			m.deniedOnce(t, secret, "cat", m.path(secret+":v1/manifest.json"))
			m.same(t, original, m.path(contentPath(open)))
			m.same(t, original, m.path(contentPath(below)))
			if got := m.ls(t, open, "_tags"); !slices.Equal(got, []string{"v1"}) {
				t.Errorf("the tags of the neighbour are %q", got)
			}
			if found := try(t, "find", m.dir).stdout; name != "no catalog" {
				for _, want := range []string{open + "/_tags/v1\n", secret + "\n", below + "/_tags/v1\n"} {
					if !strings.Contains(found, "/"+want) {
						t.Errorf("find doesn't find %q:\n%s", want, found)
					}
				}
			}
			for _, r := range f.Matching("", "/"+secret+"/") {
				if !strings.Contains(r.Path, below) && r.Status != http.StatusUnauthorized {
					t.Errorf("%s %s is answered %d: the test shows nothing", r.Method, r.Path, r.Status)
				}
			}
			for _, hidden := range []string{password, "Bearer "} {
				if strings.Contains(m.log(t), hidden) {
					t.Errorf("the log holds %q", hidden)
				}
			}
		})
	}

	t.Run("wrong password", func(t *testing.T) {
		f := serveFake(t)
		f.RequireBearer("reader", password, "", false)
		host, ca := serveTLS(t, f.Registry)
		m := prepare(t, host, "--ca-file", ca, "--username", "reader", "--password-stdin")
		m.stdin = "wrong\n"
		m.refused(t, m.command(), 1, "401", "username and password", host)
	})
}

// deniedOnce runs a command that has to be denied, with one line in the log,
// which names the repository.
func (m *mount) deniedOnce(t testing.TB, repo string, command ...string) {
	t.Helper()
	before := m.errors(t)
	fails(t, noAccess, command[0], command[1:]...)
	after := m.errors(t)
	if len(after) > len(before)+1 {
		t.Errorf("of %q the log says %q, not one line", command, after[len(before):])
	}
	// What was said of the same cause a moment ago is only counted.
	if !slices.ContainsFunc(after, func(line string) bool {
		return strings.Contains(line, "/"+repo) && strings.Contains(line, "EACCES") && strings.Contains(line, "status code 40")
	}) {
		t.Errorf("of %q the log says %q, no line with EACCES and the answer", command, after)
	}
}

// errors are the lines of the log that say what failed.
func (m *mount) errors(t testing.TB) []string {
	t.Helper()
	lines := strings.Split(m.log(t), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, "level=ERROR") })
}
