package resolver

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A registry elsewhere doesn't lead anybody to this machine or to its cloud's
// metadata service, by whatever name.
func TestRedirectToLocalAddressIsRefused(t *testing.T) {
	inner := fakeregistry.New()
	innerHost := serve(t, inner)
	for _, target := range []string{
		"http://" + innerHost + "/x?sig=hidden", "http://localhost:1/x?sig=hidden", "http://[::1]:1/x", "http://0.0.0.0:1/x",
		"http://169.254.169.254/latest/meta-data", "http://[::ffff:127.0.0.1]:1/x", "http://[fe80::1]/x",
	} {
		fake := fakeregistry.New()
		desc := fake.AddBlob("app", alphabet)
		fault := to(target)
		fault.Path = "/v2/"
		fake.Inject(fault)
		r := repo(t, fake, Options{})
		r.registry.hosts.isLocal.Store(false) // as if the registry were elsewhere
		pretend(r.registry)
		_, _, fetchErr := fetch(r.Blob(desc), 0, 4)
		_, manifestErr := r.Manifest(t.Context(), desc.Digest)
		for _, err := range []error{fetchErr, manifestErr} {
			var refused *refusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), r.registry.host+" redirects to ") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s: error %v", target, err)
			}
		}
		if n := fake.Count("", ""); n != 2 {
			t.Errorf("%s: %d requests, want 2: it won't pass", target, n)
		}
	}
	if n := inner.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// pretend makes the registry's own connections not be seen to be local.
func pretend(r *Registry) {
	own := newHost(r.hosts, r.origin)
	own.transport.DialContext = nil
	r.hosts.table[r.origin.Scheme+"://"+hostport(r.origin)] = own
}

// The name of a target says nothing: it is the address that counts.
func TestRedirectToNameOfLocalAddressIsRefused(t *testing.T) {
	fake := fakeregistry.New()
	r := repo(t, fake, Options{})
	r.registry.hosts.isLocal.Store(false)
	named := *r.registry.origin
	named.Host = "127.0.0.1:1"
	dial := r.registry.hosts.dialer(&named, false)
	if _, err := dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, new(*refusedError)) {
		t.Errorf("error %v", err)
	}
	// What is named so is refused without a connection: a proxy would make it.
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]", "169.254.169.254:80"} {
		if _, err := r.registry.hosts.enter(&url.URL{Scheme: "http", Host: name}); !errors.As(err, new(*refusedError)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// A proxy may be there.
	if conn, err := r.registry.hosts.dialer(&named, true)(t.Context(), "tcp", r.registry.host); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
	// A registry that turns out to be on such an address may send us there.
	own := r.registry.hosts.dialer(r.registry.origin, false)
	if conn, err := own(t.Context(), "tcp", r.registry.host); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
	if _, err := dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || errors.As(err, new(*refusedError)) {
		t.Errorf("error %v", err)
	}
}

func TestLocal(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true, "::": true,
		"169.254.169.254": true, "fe80::1%eth0": true, "10.0.0.1": false, "192.168.1.1": false, "8.8.8.8": false, "2001:db8::1": false,
	} {
		if got := local(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for name, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "app.localhost": true, "localhost.": true, "localhost.example.com": false, "notlocalhost": false,
		"ghcr.io": false, "127.0.0.1": true, "::1": true,
	} {
		if got := localName(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
