package mount

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"
)

// TestTLS mounts a registry whose certificate no authority has signed that the
// machine knows.
func TestTLS(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	host, ca := serveTLS(t, f.Registry)
	for _, flags := range [][]string{{"--ca-file", ca}, {"--insecure"}} {
		t.Run(flags[0], func(t *testing.T) {
			m := mountRegistry(t, host, flags...)
			m.same(t, original, m.path(contentPath("app")))
		})
	}
}

// TestTLSOnLocalhost talks TLS where HTTP is usual, because the user says so, or
// because what is there doesn't understand HTTP.
func TestTLSOnLocalhost(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	c := newCertificate(t)
	host := "127.0.0.1:" + c.serve(t, f.Registry, tls.NoClientCert)
	trust := "SSL_CERT_FILE=" + filepath.Base(c.authority) // by where the command runs
	for _, test := range []struct{ name, flag, value, env string }{
		{"flag", "--plain-http=false", "", trust},
		{"option", "-o", "plain-http=false", trust},
		{"environment", "--verify=lazy", "", trust + "\nORASFS_PLAIN_HTTP=false"},
		{"authority", "--ca-file", c.authority, ""},
		{"insecure", "--insecure", "", ""},
	} {
		for _, target := range []string{host, "none"} {
			t.Run(test.name+", "+target, func(t *testing.T) {
				m := prepare(t, target, test.flag)
				if test.value != "" {
					m.flags = append(m.flags, test.value)
				}
				m.env = strings.Split(test.env, "\n")
				m.readsFrom(t, filepath.Dir(c.authority), host, original)
			})
		}
	}
	m := prepare(t, host)
	m.refused(t, m.command(), 1, host+" talks TLS", "--plain-http=false")
}

// TestClientCertificate has a registry that talks to nobody without a certificate, by
// paths that go by where the command runs.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	c := newCertificate(t)
	host := "0.0.0.0:" + c.serve(t, f.Registry, tls.RequireAndVerifyClientCert)
	m := prepare(t, host, "--ca-file", c.authority)
	m.refused(t, m.command(), 1, host+" wants a client certificate", "--cert-file")
	for _, target := range []string{host, "none"} {
		m := prepare(t, target, "--ca-file", c.authority, "--cert-file", filepath.Base(c.file), "-o", "key-file="+c.key)
		m.readsFrom(t, filepath.Dir(c.file), host, original)
	}
}

// readsFrom mounts a registry, or all, by a command that runs in a directory, and
// compares the file of its repository app.
func (m *mount) readsFrom(t *testing.T, dir, host, original string) {
	t.Helper()
	cmd := m.command()
	cmd.Dir = dir
	if r := finish(t, cmd); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
	}
	path := contentPath("app")
	if m.target == "none" {
		path = host + "/" + path
	}
	m.same(t, original, m.path(path))
}
