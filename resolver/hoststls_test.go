package resolver

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func writeFileIn(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, name), content, 0o600)
}

// serverCA is the certificate that a server shows.
func serverCA(t *testing.T, host string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at
	if err == nil {
		defer conn.Close() //nolint:errcheck // nothing was sent
		return read(t, writePEM(t, conn.ConnectionState().PeerCertificates[0].Raw))
	}
	t.Fatal(err)
	return ""
}

// A mirror is verified by what its file says, and shown what it says.
func TestMirrorTLS(t *testing.T) {
	for _, test := range []struct {
		name, keys string // %ca and %client stand for files
		scheme     string
		options    Options
		served     bool // by the mirror
	}{
		{"nothing", ``, "https", Options{}, false},
		{"its authority", `ca = "%ca"`, "https", Options{}, true},
		{"its authority, among others", `ca = ["%other", "%ca"]`, "https", Options{}, true},
		{"another authority", `ca = "%other"`, "https", Options{}, false},
		{"any certificate", `skip_verify = true`, "https", Options{}, true},
		{"none, whatever the user says", `skip_verify = false`, "https", Options{Insecure: true, PlainHTTP: new(true)}, false},
		{"any, by the user", ``, "https", Options{Insecure: true, PlainHTTP: new(true)}, true},
		{"HTTP where only TLS is talked", ``, "http", Options{}, false},
		{"HTTP, and what TLS alone needs", `skip_verify = true`, "http", Options{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMirrored(t)
			var ca string
			m.mirrorAt, ca = tlsServer(t, m.mirror)
			folder := filepath.Join(m.dir, "ca")
			writeFileIn(t, folder, "ca.pem", read(t, ca))
			writeFileIn(t, folder, "other.pem", read(t, strangersCA(t)))
			keys := strings.NewReplacer("%ca", "../ca/ca.pem", "%other", filepath.Join(folder, "other.pem")).Replace(test.keys)
			m.say(t, "[host.\""+test.scheme+"://%s\"]\n"+keys)
			m.checkAll(t, m.connect(t, test.options))
			if n, of := m.registry.Count("", ""), m.mirror.Count("", "/app/"); (n == 0) != test.served || (of > 0) != test.served {
				t.Errorf("%d requests to the registry, %d to the mirror", n, of)
			}
		})
	}
}

// A host that talks plain HTTP is talked to so, though its file has what only TLS has a
// use for.
func TestMirrorHTTPAllTheSame(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\nskip_verify = true\n")
	m.checkAll(t, m.connect(t, Options{}))
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry", n)
	}
}

// The user's certificate is for the registry, and a mirror is shown its own.
func TestMirrorClientCertificate(t *testing.T) {
	m := newMirrored(t)
	at, shownToRegistry := serveTLS(t, m.registry, tls.RequireAnyClientCert)
	mirrorAt, shown := serveTLS(t, m.mirror, tls.RequestClientCert)
	m.at, m.mirrorAt = at, mirrorAt
	own := Options{Insecure: true}
	own.CertFile, own.KeyFile = clientPair(t, 42)
	m.say(t, "[host.\"https://%s\"]\n")
	m.checkAll(t, m.connect(t, own))
	if got := shown.Load(); got != 0 {
		t.Errorf("the mirror is shown certificate %d", got)
	}
	cert, key := clientPair(t, 43)
	m.say(t, fmt.Sprintf("[host.\"https://%%s\"]\nclient = [[%q, %q]]\n", cert, key))
	r := m.connect(t, own)
	m.checkAll(t, r)
	if got := shown.Load(); got != 43 {
		t.Errorf("the mirror is shown certificate %d", got)
	}
	if err := r.registry.Ping(t.Context()); err != nil || shownToRegistry.Load() != 42 {
		t.Errorf("the registry is shown certificate %d, %v", shownToRegistry.Load(), err)
	}
}

// Without a hosts.toml Docker's files in the folder are for the registry itself.
func TestDockersCertificates(t *testing.T) {
	fake := fakeregistry.New()
	host, shown := serveTLS(t, fake, tls.RequireAnyClientCert)
	dir := t.TempDir()
	folder := filepath.Join(dir, host)
	ca, cert, key := serverCA(t, host), "", ""
	writeFileIn(t, folder, "ca.crt", ca)
	o := Options{HostsDir: dir, PlainHTTP: new(false)}
	if err := dial(t, host, o).Ping(t.Context()); err == nil {
		t.Error("without a certificate: no error")
	}
	cert, key = clientPair(t, 7)
	writeFileIn(t, folder, "client.cert", read(t, cert))
	writeFileIn(t, folder, "client.key", read(t, key))
	if err := dial(t, host, o).Ping(t.Context()); err != nil || shown.Load() != 7 {
		t.Errorf("certificate %d, %v", shown.Load(), err)
	}
	writeFileIn(t, folder, "client.cert", read(t, cert)+read(t, key))
	if err := os.Remove(filepath.Join(folder, "client.key")); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, host, o).Ping(t.Context()); err != nil {
		t.Errorf("with the key in the certificate's file: %v", err)
	}
}

// The registry may be one of the hosts: that is how it is asked then, for lists too.
func TestRegistryAmongTheHosts(t *testing.T) {
	m := newMirrored(t)
	at, ca := tlsServer(t, m.registry)
	m.at = at
	m.say(t, fmt.Sprintf("[host.\"https://%s\"]\nca = %q\n", at, ca))
	r := m.connect(t, Options{PlainHTTP: new(false)})
	m.checkAll(t, r)
	if err := r.registry.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Tags(t.Context(), func([]string) error { return nil }); err != nil {
		t.Error(err)
	}
}

// A mirror's authorities are read again when their file changes.
func TestMirrorAuthorityIsReadAgain(t *testing.T) {
	m := newMirrored(t)
	at, ca := tlsServer(t, m.mirror)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, read(t, strangersCA(t)), 0o600)
	m.say(t, fmt.Sprintf("[host.\"https://%s\"]\nca = %q\n", at, file))
	r := m.connect(t, Options{})
	m.checkAll(t, r)
	if n := m.mirror.Count("", "/app/"); n != 0 {
		t.Errorf("%d requests to a mirror that wasn't verified", n)
	}
	writeFile(t, file, read(t, ca), 0o600)
	m.registry.Reset()
	m.checkAll(t, r)
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry", n)
	}
}

// The authorities that the user names are read again when their file changes.
func TestCAFileIsReadAgain(t *testing.T) {
	fake := fakeregistry.New()
	host, ca := tlsServer(t, fake)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, read(t, strangersCA(t)), 0o600)
	r := dial(t, host, Options{CAFile: file})
	if err := r.Ping(t.Context()); err == nil {
		t.Fatal("a stranger's authority does")
	}
	writeFile(t, file, read(t, ca), 0o600)
	if err := r.Ping(t.Context()); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	writeFile(t, file, "none", 0o600)
	if err := r.Ping(t.Context()); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
	if n := fake.Count(http.MethodGet, "/v2/"); n != 2 {
		t.Errorf("%d requests", n)
	}
}
