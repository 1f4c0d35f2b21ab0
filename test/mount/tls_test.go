package mount

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate is one for this machine, in files, with that of the authority
// that signed it, which no machine knows.
//
// The host is 0.0.0.0, which leads to this machine and isn't taken for
// localhost, where registries talk plain HTTP.
type certificate struct{ file, key, authority string }

func newCertificate(t testing.TB) certificate {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "an authority of the tests"},
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotAfter:     authority.NotAfter,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4zero, net.IPv4(127, 0, 0, 1)},
	}
	authorityKey, serverKey := newKey(t), newKey(t)
	encoded, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return certificate{
		file:      writePEM(t, "CERTIFICATE", signed(t, server, authority, serverKey, authorityKey)),
		key:       writePEM(t, "PRIVATE KEY", encoded),
		authority: writePEM(t, "CERTIFICATE", signed(t, authority, authority, authorityKey, authorityKey)),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, template, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	certificate, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func writePEM(t testing.TB, kind string, content []byte) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pool holds the authority.
func (c certificate) pool(t testing.TB) *x509.CertPool {
	t.Helper()
	content, err := os.ReadFile(c.authority)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(content)
	return pool
}

// client trusts the authority.
func (c certificate) client(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.pool(t), MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// serveTLS serves a handler over TLS and gives the file with the certificate of
// the authority.
func serveTLS(t testing.TB, handler http.Handler) (host, caFile string) {
	t.Helper()
	c := newCertificate(t)
	return net.JoinHostPort("0.0.0.0", c.serve(t, handler, tls.NoClientCert)), c.authority
}

// serve serves a handler over TLS with the certificate, to clients that show one of
// its authority's if they have to, and gives the port.
func (c certificate) serve(t testing.TB, handler http.Handler, demand tls.ClientAuthType) (port string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.file, c.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: demand, ClientCAs: c.pool(t)}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err = net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestTLS mounts a registry whose certificate no authority has signed that the
// machine knows.
func TestTLS(t *testing.T) {
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
				cmd := m.command()
				cmd.Dir = filepath.Dir(c.authority)
				if r := finish(t, cmd); r.code != 0 {
					t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
				}
				path := contentPath("app")
				if target == "none" {
					path = host + "/" + path
				}
				m.same(t, original, m.path(path))
			})
		}
	}
	m := prepare(t, host)
	m.refused(t, m.command(), 1, host+" talks TLS", "--plain-http=false")
}

// TestClientCertificate has a registry that talks to nobody without a certificate, by
// paths that go by where the command runs.
func TestClientCertificate(t *testing.T) {
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	c := newCertificate(t)
	host := "0.0.0.0:" + c.serve(t, f.Registry, tls.RequireAndVerifyClientCert)
	m := prepare(t, host, "--ca-file", c.authority)
	m.refused(t, m.command(), 1, host+" wants a client certificate", "--cert-file")
	for _, target := range []string{host, "none"} {
		m := prepare(t, target, "--ca-file", c.authority, "--cert-file", filepath.Base(c.file), "-o", "key-file="+c.key)
		cmd := m.command()
		cmd.Dir = filepath.Dir(c.file)
		if r := finish(t, cmd); r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
		}
		path := contentPath("app")
		if target == "none" {
			path = host + "/" + path
		}
		m.same(t, original, m.path(path))
	}
}
