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
