package resolver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// clientPair writes a client's certificate and its key.
func clientPair(t *testing.T, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), 0o600)
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), 0o600)
	return certFile, keyFile
}

// serveTLS serves a handler over TLS and notes the serial number of the certificate
// that the last client has shown; 0 is none.
func serveTLS(t *testing.T, handler http.Handler, demand tls.ClientAuthType) (host string, shown *atomic.Int64) {
	t.Helper()
	shown = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		shown.Store(0)
		for _, c := range req.TLS.PeerCertificates {
			shown.Store(c.SerialNumber.Int64())
		}
		handler.ServeHTTP(w, req)
	}))
	server.TLS = &tls.Config{ClientAuth: demand, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), shown
}

// The registry is shown the client's certificate, the one that is in the file when
// it connects, and nobody else is.
func TestClientCertificate(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	cdn := fake.NewCDN()
	cdnHost, cdnShown := serveTLS(t, cdn, tls.RequestClientCert)
	cdnShown.Store(-1)
	fake.RedirectBlobs(cdn, "https://"+cdnHost)
	host, shown := serveTLS(t, fake, tls.RequireAnyClientCert)
	certFile, keyFile := clientPair(t, 42)
	r := dial(t, host, Options{CertFile: certFile, KeyFile: keyFile, Insecure: true})
	if got, _, err := fetch(repoOf(t, r, "app").Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := shown.Load(); got != 42 {
		t.Errorf("the registry is shown certificate %d", got)
	}
	if got := cdnShown.Load(); got != 0 {
		t.Errorf("the CDN is shown certificate %d", got)
	}

	renewedCert, renewedKey := clientPair(t, 43)
	for from, to := range map[string]string{renewedCert: certFile, renewedKey: keyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	own, err := r.hosts.enter(r.origin)
	if err != nil {
		t.Fatal(err)
	}
	own.transport.CloseIdleConnections()
	if err := r.Ping(t.Context()); err != nil || shown.Load() != 43 {
		t.Errorf("with a renewed certificate: %d, %v", shown.Load(), err)
	}

	if err := dial(t, host, Options{Insecure: true}).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := NewRegistry(host, Options{CertFile: certFile, KeyFile: certFile}); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("without a key: %v", err)
	}
}

// A registry that is asked in plain HTTP and talks TLS is told apart from one that
// only fails.
func TestTalksTLS(t *testing.T) {
	failing := fakeregistry.New()
	failing.Inject(fakeregistry.Fault{Status: http.StatusBadRequest})
	secure, _ := serveTLS(t, fakeregistry.New(), tls.NoClientCert)
	demanding, _ := serveTLS(t, fakeregistry.New(), tls.RequireAnyClientCert)
	for host, want := range map[string]bool{secure: true, demanding: true, serve(t, failing): false, "127.0.0.1:1": false} {
		if err := dial(t, host, Options{}).Ping(t.Context()); err == nil || isKind(err, ErrTalksTLS) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}
