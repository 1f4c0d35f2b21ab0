package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// A Role is what a host is to a registry.
type Role int

const (
	// RoleRegistry is the registry itself.
	RoleRegistry Role = iota
	// RoleTokenService gives the registry's tokens.
	RoleTokenService
	// RoleRedirect is where the registry redirects to: a CDN, a storage.
	RoleRedirect
	// RoleProxy stands between us and the others.
	RoleProxy
	// RoleMirror is asked in the registry's place, by a hosts.toml.
	RoleMirror
)

// A Party is one of those that have to do with a registry.
type Party struct {
	Role     Role
	Host     string // HOST[:PORT]
	Registry string // HOST[:PORT] as it was given
}

// String names the party, and what it is unless it is the registry.
func (p Party) String() string {
	switch p.Role {
	case RoleTokenService:
		return fmt.Sprintf("%s (token service of %s)", p.Host, p.Registry)
	case RoleRedirect:
		return fmt.Sprintf("%s (where %s redirects to)", p.Host, p.Registry)
	case RoleProxy:
		return fmt.Sprintf("%s (proxy)", p.Host)
	case RoleMirror:
		return fmt.Sprintf("%s (mirror of %s)", p.Host, p.Registry)
	default:
		return p.Registry
	}
}

// PartyOf tells who gave an error, or gave no answer; false is that the error says
// nothing of that. The Registry is empty where only the answer's address is known.
func PartyOf(err error) (Party, bool) {
	var f *failure
	var answer *errcode.ErrorResponse
	var mirror *mirrorError
	switch {
	case errors.As(err, &f):
		return f.party(), true
	case errors.As(err, &mirror) && !errors.As(err, new(*tokenError)):
		return mirror.party, true
	case !errors.As(err, &answer) || answer.URL == nil:
		return Party{}, false
	case errors.As(err, new(*tokenError)):
		return Party{Role: RoleTokenService, Host: answer.URL.Host}, true
	}
	return Party{Role: RoleRegistry, Host: answer.URL.Host}, true
}

// party is who was asked in vain.
func (f *failure) party() Party {
	p := Party{Role: f.role, Host: f.host.origin.Host, Registry: f.host.table.registry}
	if p.Role == RoleMirror {
		p.Registry = f.host.table.endpoint.mirrorOf
	}
	var operation *net.OpError
	atProxy := errors.As(f.err, new(*proxyError)) || errors.As(f.err, &operation) && operation.Op == "proxyconnect"
	if atProxy && f.host.proxy != nil {
		p.Role, p.Host = RoleProxy, f.host.proxy.Host
	}
	return p
}

// Error says who it was where that isn't the registry.
func (f *failure) Error() string {
	if p := f.party(); p.Role != RoleRegistry {
		return p.String() + ": " + f.err.Error()
	}
	return f.err.Error()
}

// A mirrorError is what went wrong with a mirror.
type mirrorError struct {
	party Party
	err   error
}

// Error names the mirror, where what went wrong doesn't.
func (e *mirrorError) Error() string {
	if errors.As(e.err, new(*failure)) {
		return e.err.Error()
	}
	return e.party.String() + ": " + e.err.Error()
}

func (e *mirrorError) Unwrap() error { return e.err }

// A proxyError is that a proxy makes no connection.
type proxyError struct{ status string }

func (e *proxyError) Error() string { return "the proxy answers " + e.status }

// ErrProxyLogin is that a proxy wants a user and a password.
var ErrProxyLogin = errors.New("the proxy wants a login")

// Is tells of a proxyError what it means.
func (e *proxyError) Is(target error) bool {
	return target == ErrProxyLogin && len(e.status) > 3 && e.status[:3] == fmt.Sprint(http.StatusProxyAuthRequired)
}

// proxyAnswered is an http.Transport's OnProxyConnectResponse.
func proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &proxyError{harmless(resp.Status)}
	}
	return nil
}

// A tokenError is why there is no token.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }

func (e *tokenError) Unwrap() error { return e.err }

// tokenKey is in the context of a request for a token.
type tokenKey struct{}

func forToken(ctx context.Context) context.Context { return context.WithValue(ctx, tokenKey{}, true) }

// roleOf tells what a host is that a request goes to, and whether the request and all
// that it was redirected from are to the registry.
func (t *hosts) roleOf(req *http.Request) (role Role, own bool) {
	own = sameOrigin(req.URL, t.origin)
	for r := req; own && r.Response != nil && r.Response.Request != nil; {
		r = r.Response.Request
		own = sameOrigin(r.URL, t.origin)
	}
	switch {
	case req.Context().Value(tokenKey{}) != nil:
		return RoleTokenService, own
	case own:
		return t.role(), own
	default:
		return RoleRedirect, own
	}
}

// role is that of the host whose hosts these are.
func (t *hosts) role() Role {
	if t.isMirror() {
		return RoleMirror
	}
	return RoleRegistry
}

func (t *hosts) isMirror() bool { return t.endpoint.mirrorOf != "" }

// A storage is the way to where blobs are redirected to.
type storage struct{ hosts *hosts }

// RoundTrip implements http.RoundTripper.
func (s storage) RoundTrip(req *http.Request) (*http.Response, error) {
	return s.hosts.send(req, RoleRedirect, false)
}
