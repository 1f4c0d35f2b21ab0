package resolver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestMain(m *testing.M) {
	// The credentials of whoever runs the tests have no business here.
	dir, err := os.MkdirTemp("", "orasfs-resolver")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("DOCKER_CONFIG", dir)
	runAtOnce()
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// serve serves a handler over HTTP and returns HOST:PORT.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// connect returns a client of a handler that doesn't wait before it retries or
// probes, and remembers no denial.
func connect(t *testing.T, handler http.Handler, o Options) *Registry {
	t.Helper()
	return dial(t, serve(t, handler), o)
}

func dial(t *testing.T, host string, o Options) *Registry {
	t.Helper()
	r, err := NewRegistry(host, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	r.mirrors.dir.every, r.mirrors.dir.next = 0, time.Time{}
	for _, w := range append(slices.Clone(r.mirrors.ways), &way{Registry: r}) {
		w.backoff, w.hosts.probeEvery, w.denials.lasts = time.Millisecond, time.Millisecond, 0
	}
	return r
}

// repo returns a client of the repository app of a handler.
func repo(t *testing.T, handler http.Handler, o Options) *Repository {
	t.Helper()
	return repoOf(t, connect(t, handler, o), "app")
}

func repoOf(t *testing.T, r *Registry, name string) *Repository {
	t.Helper()
	repo, err := r.Repository(name)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// debugLog logs everything to w.
func debugLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// wantStatus fails unless err is an answer with that status.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	if !hasStatus(err, status) {
		t.Errorf("error %v: want one with status %d", err, status)
	}
}

// wantIs fails unless err is target.
func wantIs(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v: want one that is %v", err, target)
	}
}

func TestPing(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*fakeregistry.Registry)
		options Options
		status  int // of the error; 0 is none
	}{
		{name: "open", prepare: func(*fakeregistry.Registry) {}},
		{name: "basic", prepare: basic, options: Options{Username: "alice", Password: "secret"}},
		{name: "basic without credential", prepare: basic, status: 401},
		{name: "basic with a wrong one", prepare: basic, options: Options{Username: "alice", Password: "x"}, status: 401},
		{name: "bearer", prepare: bearer(false), options: Options{Username: "alice", Password: "secret"}},
		{name: "bearer with a wrong one", prepare: bearer(false), options: Options{Username: "alice", Password: "x"}, status: 401},
		{name: "identity token", prepare: bearer(false), options: Options{Password: "identity"}},
		{name: "wrong identity token", prepare: bearer(false), options: Options{Password: "x"}, status: 401},
		{name: "anonymous token", prepare: bearer(true)},
		{name: "anonymous token for repositories only", prepare: bearer(false)},
		{name: "anonymous token that isn't good for /v2/", prepare: func(r *fakeregistry.Registry) {
			bearer(true)(r)
			r.Inject(fakeregistry.Fault{Path: "/v2/", Status: 401, Header: map[string]string{
				"WWW-Authenticate": `Bearer realm="` + tokenService(t, r) + `"`}})
		}},
		{name: "token service fails", prepare: func(r *fakeregistry.Registry) {
			bearer(true)(r)
			r.Inject(fakeregistry.Fault{Path: "/token", Status: 500})
		}, status: 500},
		{name: "forbidden", prepare: func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Path: "/v2/", Status: 403})
		}, status: 403},
		{name: "other scheme", prepare: func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Path: "/v2/", Status: 401, Header: map[string]string{"WWW-Authenticate": "Negotiate"}})
		}, status: 401},
		{name: "not a registry", prepare: func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Path: "/v2/", Status: 404})
		}, status: 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake := fakeregistry.New()
			test.prepare(fake)
			err := connect(t, fake, test.options).Ping(t.Context())
			if test.status == 0 && err != nil {
				t.Error(err)
			}
			if test.status != 0 {
				wantStatus(t, err, test.status)
			}
		})
	}
}

func basic(r *fakeregistry.Registry) { r.RequireBasic("alice", "secret") }

func bearer(anonymous bool) func(*fakeregistry.Registry) {
	return func(r *fakeregistry.Registry) { r.RequireBearer("alice", "secret", "identity", anonymous) }
}

// tokenService serves the token endpoint of r at an address of its own.
func tokenService(t *testing.T, r *fakeregistry.Registry) string {
	return "http://" + serve(t, r) + "/token"
}

func TestPingRefusedConnectionFailsAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	_ = listener.Close()
	var log bytes.Buffer
	r := dial(t, host, Options{Log: debugLog(&log)})
	wantIs(t, r.Ping(t.Context()), syscall.ECONNREFUSED)
	if strings.Contains(log.String(), "sent again") {
		t.Errorf("it was tried again:\n%s", &log)
	}
}

func TestUserAgent(t *testing.T) {
	fake := fakeregistry.New()
	if err := connect(t, fake, Options{UserAgent: "orasfs/1.2.3"}).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, request := range fake.Requests() {
		if got := request.Header.Values("User-Agent"); len(got) != 1 || got[0] != "orasfs/1.2.3" {
			t.Errorf("User-Agent %q", got)
		}
	}
}

// tlsServer serves over TLS and HTTP/2 and writes its CA to a file.
func tlsServer(t *testing.T, handler http.Handler) (host, caFile string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), writePEM(t, server.Certificate().Raw)
}

func TestTLS(t *testing.T) {
	fake := fakeregistry.New()
	host, caFile := tlsServer(t, fake)

	if err := dial(t, host, Options{CAFile: caFile}).Ping(t.Context()); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	if err := dial(t, host, Options{Insecure: true}).Ping(t.Context()); err != nil {
		t.Errorf("insecure: %v", err)
	}

	fake.Reset()
	var unknown *tls.CertificateVerificationError
	if err := dial(t, host, Options{CAFile: strangersCA(t)}).Ping(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("with another CA: error %v", err)
	}
	if n := fake.Count("", ""); n != 0 {
		t.Errorf("%d requests reached a server that wasn't verified", n)
	}
}

// strangersCA writes a CA that signed nothing.
func strangersCA(t *testing.T) (file string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, der)
}

func writePEM(t *testing.T, der []byte) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCAFileThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := NewRegistry("example.com", Options{CAFile: file}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRegistry("example.com", Options{CAFile: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("empty file: error %v", err)
	}
}

func TestScheme(t *testing.T) {
	cert, key := clientPair(t, 1)
	tests := []struct {
		host    string
		options Options
		want    string
	}{
		{"localhost:5000", Options{}, "http://localhost:5000"},
		{"localhost", Options{}, "http://localhost"},
		{"127.0.0.9:5000", Options{}, "http://127.0.0.9:5000"},
		{"[::1]:5000", Options{}, "http://[::1]:5000"},
		{"[::1]", Options{}, "http://[::1]"},
		{"localhost:5000", Options{Insecure: true}, "https://localhost:5000"},
		{"localhost:5000", Options{PlainHTTP: new(true), Insecure: true}, "http://localhost:5000"},
		{"localhost:5000", Options{PlainHTTP: new(false)}, "https://localhost:5000"},
		{"localhost:5000", Options{CertFile: cert, KeyFile: key}, "https://localhost:5000"},
		{"ghcr.io", Options{PlainHTTP: new(false)}, "https://ghcr.io"},
		{"ghcr.io", Options{}, "https://ghcr.io"},
		{"localhost.example.com", Options{}, "https://localhost.example.com"},
		{"192.168.1.1", Options{PlainHTTP: new(true)}, "http://192.168.1.1"},
		{"docker.io", Options{}, "https://registry-1.docker.io"},
	}
	for _, test := range tests {
		r, err := NewRegistry(test.host, test.options)
		if err != nil {
			t.Errorf("%s: %v", test.host, err)
			continue
		}
		if got := r.origin.String(); got != test.want {
			t.Errorf("%s %+v: %s, want %s", test.host, test.options, got, test.want)
		}
		if r.Host() != test.host {
			t.Errorf("host %s became %s", test.host, r.Host())
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	if _, err := NewRegistry("not a host", Options{}); !errors.Is(err, errdef.ErrInvalidReference) {
		t.Errorf("host: error %v", err)
	}
	r := connect(t, fakeregistry.New(), Options{})
	for _, name := range []string{"", "App", "a//b", "../b", "a/", "_tags", "a:b", strings.Repeat("a", 256)} {
		if _, err := r.Repository(name); !errors.Is(err, errdef.ErrInvalidReference) {
			t.Errorf("repository %q: error %v", name, err)
		}
	}
}

func TestCallerCancels(t *testing.T) {
	fake := fakeregistry.New()
	fake.Inject(fakeregistry.Fault{Stall: true})
	r := connect(t, fake, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() { asked <- r.Ping(ctx) }()
	for fake.Count("", "") == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	err := <-asked
	wantIs(t, err, context.Canceled)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v is a deadline", err)
	}
	if n := fake.Count("", ""); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}
