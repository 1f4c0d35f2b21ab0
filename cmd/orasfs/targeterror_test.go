package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/resolver"
	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestExplain(t *testing.T) {
	answer := func(code int) error {
		return fmt.Errorf("ping: %w", &errcode.ErrorResponse{StatusCode: code, URL: &url.URL{Scheme: "https", Host: "r.example:5000", Path: "/v2/"}})
	}
	loggedIn := resolver.Options{Username: "me", Password: "s3cret"}
	tests := []struct {
		name    string
		target  string
		options resolver.Options
		err     error
		words   []string
	}{
		{"401", "", resolver.Options{}, answer(401), []string{"r.example:5000", "oras login r.example:5000", "--password-stdin"}},
		{"401 with a password", "", loggedIn, answer(401), []string{"r.example:5000", "doesn't accept"}},
		{"403", "", loggedIn, answer(403), []string{"r.example:5000", "denies access"}},
		{"404", "", resolver.Options{}, answer(404), []string{"r.example:5000", "isn't a registry"}},
		{"500", "", resolver.Options{}, answer(500), []string{"r.example:5000", "500"}},
		{"404 of a list", "org/app", resolver.Options{}, &errcode.ErrorResponse{StatusCode: 404, URL: &url.URL{Path: "/v2/org/app/tags/list"}}, []string{"r.example:5000 has no", "org/app"}},
		{"403 without a login", "", resolver.Options{}, answer(403), []string{"r.example:5000", "without a login", "oras login"}},
		{"401 with a token", "", resolver.Options{Password: "s3cret"}, answer(401), []string{"identity token", "--username"}},
		{"401 with a header", "", resolver.Options{Header: http.Header{"Authorization": {"s3cret"}}}, answer(401), []string{"the header Authorization"}},
		{"407", "", resolver.Options{}, answer(407), []string{"the proxy wants a login", "HTTP_PROXY"}},
		{"429", "", resolver.Options{}, answer(429), []string{"r.example:5000", "limits", "oras login"}},
		{"TLS where HTTP is meant", "", resolver.Options{PlainHTTP: new(true)}, fmt.Errorf("x: %w", resolver.ErrTalksTLS), []string{"omit --plain-http"}},
		{"TLS on localhost", "", resolver.Options{}, fmt.Errorf("x: %w", resolver.ErrTalksTLS), []string{"--plain-http=false"}},
		{"400 to plain HTTP, catalog", "", resolver.Options{PlainHTTP: new(true)}, &errcode.ErrorResponse{StatusCode: 400, URL: &url.URL{Scheme: "http", Path: "/v2/_catalog"}}, []string{"400: Bad Request"}},
		{"400 to HTTPS", "", resolver.Options{}, &errcode.ErrorResponse{StatusCode: 400, URL: &url.URL{Scheme: "https"}}, []string{"400: Bad Request"}},
		{"unknown host", "", resolver.Options{}, &net.DNSError{IsNotFound: true}, []string{"unknown host r.example:5000"}},
		{"no name server", "", resolver.Options{}, &net.DNSError{Err: "misbehaves"}, []string{"r.example:5000", "misbehaves"}},
		{"refused", "", resolver.Options{}, fmt.Errorf("x: %w", syscall.ECONNREFUSED), []string{"r.example:5000", "refuses"}},
		{"deadline", "", resolver.Options{}, fmt.Errorf("x: %w", context.DeadlineExceeded), []string{"r.example:5000", "--timeout"}},
		{"interrupt", "", resolver.Options{}, fmt.Errorf("x: %w", context.Canceled), []string{"interrupted"}},
		{"no such name", "org/app", resolver.Options{}, fmt.Errorf("x: %w", errdef.ErrNotFound), []string{"r.example:5000 has no", "org/app"}},
		{"mount", "", resolver.Options{}, fmt.Errorf("mount /mnt: %w", syscall.EPERM), []string{"/mnt", "SYS_ADMIN"}},
		{"other", "", resolver.Options{}, errors.New("other"), []string{"other"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &mountRequest{target: target{Target: resolver.Target{Host: "r.example:5000", Name: test.target}}, registry: test.options}
			err := r.explain(test.err)
			wantError(t, err, test.words...)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("it holds a secret: %v", err)
			}
		})
	}
}

// TestExplainParty asks real hosts, of which another than the registry fails: the
// error names that one.
func TestExplainParty(t *testing.T) {
	serve := func(handler http.Handler) (host string) {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	serveTLS := func(handler http.Handler, demand tls.ClientAuthType) (host string) {
		server := httptest.NewUnstartedServer(handler)
		server.TLS = &tls.Config{ClientAuth: demand, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	closed := func(realm string) http.Handler {
		f := fakeregistry.New()
		f.RequireBearer("", "", "", true)
		f.SetRealm(realm)
		return f
	}
	broken := fakeregistry.New()
	broken.Inject(fakeregistry.Fault{Path: "/token", Status: http.StatusNotFound})
	brokenHost := serve(broken)
	insecure := resolver.Options{Insecure: true}
	for _, test := range []struct {
		name    string
		host    string
		options resolver.Options
		words   []string // HOST is the registry's
	}{
		{"the registry is down", "127.0.0.1:1", resolver.Options{}, []string{"HOST refuses the connection", "port"}},
		{"the token service is down", serve(closed("http://127.0.0.1:1/token")), resolver.Options{}, []string{"127.0.0.1:1 (token service of HOST) refuses the connection", "ask who runs HOST"}},
		{"the token service answers 404", serve(closed("http://" + brokenHost + "/token")), resolver.Options{}, []string{brokenHost + " (token service of HOST)", "404", "ask who runs HOST"}},
		{"the token service has an unknown certificate", serve(closed("https://" + serveTLS(fakeregistry.New(), tls.NoClientCert) + "/token")), resolver.Options{}, []string{"(token service of HOST) isn't trusted", "--ca-file"}},
		{"where it redirects to is down", serve(http.RedirectHandler("http://127.0.0.1:1/x", http.StatusFound)), resolver.Options{}, []string{"127.0.0.1:1 (where HOST redirects to) refuses"}},
		{"a client certificate is wanted", serveTLS(fakeregistry.New(), tls.RequireAnyClientCert), insecure, []string{"HOST wants a client certificate", "--cert-file"}},
		{"TLS on localhost", serveTLS(fakeregistry.New(), tls.NoClientCert), resolver.Options{}, []string{"HOST talks TLS", "--plain-http=false"}},
		{"TLS where HTTP is meant", serveTLS(fakeregistry.New(), tls.NoClientCert), resolver.Options{PlainHTTP: new(true)}, []string{"HOST talks TLS", "omit --plain-http"}},
		{"HTTP where TLS is meant", serve(fakeregistry.New()), insecure, []string{"HOST doesn't talk TLS", "--plain-http"}},
		{"no registry", serve(http.NotFoundHandler()), resolver.Options{}, []string{"HOST isn't a registry"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &mountRequest{target: target{Target: resolver.Target{Host: test.host}, text: test.host}, registry: test.options}
			r.registry.Timeout = 30 * time.Second
			registry, err := resolver.NewRegistry(test.host, r.registry)
			if err != nil {
				t.Fatal(err)
			}
			if err = errors.Join(registry.Ping(t.Context()), registry.Close()); err == nil {
				t.Fatal("no error")
			}
			for i, word := range test.words {
				test.words[i] = strings.ReplaceAll(word, "HOST", test.host)
			}
			wantError(t, r.explain(err), test.words...)
		})
	}
}

// The errors of TLS are those that net/http really gives.
func TestExplainTLS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	trusting := x509.NewCertPool()
	trusting.AddCert(secure.Certificate())

	tests := []struct {
		name   string
		url    string
		config *tls.Config
		words  []string
	}{
		{"unknown authority", secure.URL, &tls.Config{MinVersion: tls.VersionTLS12}, []string{"isn't trusted", "--ca-file", "--insecure"}},
		{"another host", secure.URL, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusting, ServerName: "other.test"}, []string{"for another host", "--insecure"}},
		{"plain HTTP", "https://" + plain.Listener.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS12}, []string{"doesn't talk TLS", "--plain-http"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: test.config}
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport}).Get(test.url)
			if err == nil {
				_ = response.Body.Close()
				t.Fatal("no error")
			}
			r := &mountRequest{target: target{Target: resolver.Target{Host: "r.example"}}}
			wantError(t, r.explain(fmt.Errorf("ping: %w", err)), append(test.words, "r.example")...)
		})
	}
}
