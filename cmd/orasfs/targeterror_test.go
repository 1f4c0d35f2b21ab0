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
	"syscall"
	"testing"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/resolver"
)

func TestExplain(t *testing.T) {
	answer := func(code int) error {
		return fmt.Errorf("ping: %w", &errcode.ErrorResponse{StatusCode: code, URL: &url.URL{Scheme: "https"}})
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
		{"400 to plain HTTP", "", resolver.Options{PlainHTTP: true}, &errcode.ErrorResponse{StatusCode: 400, URL: &url.URL{Scheme: "http"}}, []string{"omit --plain-http"}},
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
			wantError(t, r.explain(test.err), test.words...)
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
