package mount

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

// serveTLS serves a handler over TLS and gives the file with its certificate,
// which is its own authority.
//
// The host is 0.0.0.0, which leads to this machine and isn't taken for
// localhost, where registries talk plain HTTP.
func serveTLS(t testing.TB, handler http.Handler) (host, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4zero},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)

	caFile = filepath.Join(t.TempDir(), "ca.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if err := os.WriteFile(caFile, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("0.0.0.0", port), caFile
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
