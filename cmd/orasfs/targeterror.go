package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/fs/signed"
	"github.com/orasfs/orasfs/resolver"
)

// explain says in one line what keeps a target from being mounted, who it was, and
// what to do about it.
func (r *mountRequest) explain(err error) error {
	var answer *errcode.ErrorResponse
	who := r.party(err)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case signed.Denied(err), errors.As(err, &flagError{}):
		return err
	case r.target.layout != "":
		return r.explainLayout(err)
	case errors.Is(err, resolver.ErrTalksTLS) && r.registry.PlainHTTP != nil:
		return fmt.Errorf("%s talks TLS, not plain HTTP: omit --plain-http", who)
	case errors.Is(err, resolver.ErrTalksTLS):
		return fmt.Errorf("%s talks TLS, not plain HTTP as is usual on localhost: use --plain-http=false", who)
	case errors.As(err, &answer):
		return r.explainAnswer(who, answer, errors.Is(err, resolver.ErrCredential))
	case errors.Is(err, errdef.ErrNotFound) && r.target.Name != "":
		return fmt.Errorf("%s has no repository or namespace %s: check the name", who, r.target.Name)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: mounting isn't permitted here (a container needs --cap-add SYS_ADMIN --device /dev/fuse)", err)
	}
	if explained := r.explainTLS(who, err); explained != nil {
		return explained
	}
	return r.explainSilence(who, err)
}

// party is who an error is about: the registry, unless it says otherwise.
func (r *mountRequest) party(err error) resolver.Party {
	who, _ := resolver.PartyOf(err)
	who.Registry = r.target.Host
	return who
}

// remedy is what to do about somebody with whom nothing can be done: own is for the
// registry.
func remedy(who resolver.Party, own string) string {
	switch who.Role {
	case resolver.RoleProxy:
		return "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment"
	case resolver.RoleTokenService, resolver.RoleRedirect:
		return fmt.Sprintf("try again later, or ask who runs %s", who.Registry)
	default:
		return own
	}
}

// explainLayout is for a local OCI image layout.
func (r *mountRequest) explainLayout(err error) error {
	if errors.Is(err, errdef.ErrNotFound) && r.target.Reference != "" {
		return fmt.Errorf("%s has no %s: check the tag or the digest", r.target.layout, r.target.Reference)
	}
	return err
}

// explainSilence is for who gave no answer.
func (r *mountRequest) explainSilence(who resolver.Party, err error) error {
	var lookup *net.DNSError
	switch {
	case errors.Is(err, resolver.ErrProxyLogin):
		return fmt.Errorf("%s wants a login (407): give it in HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT", who)
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return fmt.Errorf("unknown host %s: %s", who, remedy(who, "check the name"))
	case errors.As(err, &lookup):
		return fmt.Errorf("the address of %s can't be looked up (%w): check the network", who, lookup)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refuses the connection: %s", who, remedy(who, "check that a registry runs there, and the port"))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s doesn't answer in time (%w): check the network, or raise --timeout", who, err)
	case who.Role == resolver.RoleProxy:
		return fmt.Errorf("%w: %s", err, remedy(who, ""))
	default:
		return err
	}
}

// explainTLS is for what goes wrong before a request can be sent over TLS; nil is
// that nothing did.
func (r *mountRequest) explainTLS(who resolver.Party, err error) error {
	var (
		certificate *tls.CertificateVerificationError
		invalid     x509.CertificateInvalidError
		alert       *net.OpError
		wrongName   x509.HostnameError
	)
	switch {
	case errors.As(err, &wrongName):
		return fmt.Errorf("the TLS certificate of %s is for another host (%w): check the name, or use --insecure", who, wrongName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the TLS certificate of %s can't be used (%w): check this machine's clock, or use --insecure", who, invalid)
	case errors.As(err, &certificate):
		return fmt.Errorf("the TLS certificate of %s isn't trusted (%w): give its authority with --ca-file, or use --insecure", who, certificate.Err)
	case resolver.NoTLS(err):
		return fmt.Errorf("%s doesn't talk TLS: %s", who, remedy(who, "use --plain-http if it is meant to talk HTTP"))
	case !errors.As(err, &alert) || alert.Op != "remote error":
		return nil
	case strings.Contains(alert.Error(), "certificate required"):
		return fmt.Errorf("%s wants a client certificate: %s", who, remedy(who, "give it with --cert-file and --key-file"))
	case r.registry.CertFile != "" && strings.Contains(alert.Error(), "certificate"):
		return fmt.Errorf("%s doesn't accept the client certificate (%w): check --cert-file", who, alert)
	default:
		return nil
	}
}

// explainAnswer is for what somebody answered with a status, to a credential or
// without.
func (r *mountRequest) explainAnswer(who resolver.Party, answer *errcode.ErrorResponse, hadCredential bool) error {
	host := r.target.Host
	path := ""
	if answer.URL != nil {
		path = answer.URL.Path
	}
	switch status := answer.StatusCode; {
	case status == http.StatusUnauthorized && !r.loggedIn:
		return r.explainLogin(who, hadCredential)
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && (r.loggedIn || hadCredential || r.registry.Password != ""):
		return fmt.Errorf("%s denies access (%d): check what the user may do, or log in as another with --username and --password-stdin", who, status)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s denies access without a login (403): run oras login %s, or use --username and --password-stdin", who, host)
	case status == http.StatusProxyAuthRequired:
		return errors.New("the proxy wants a login (407): give it in HTTP_PROXY, as http://USER:PASSWORD@HOST:PORT")
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%s limits its requests (429): wait, or log in with oras login %s: %w", who, host, answer)
	case who.Role != resolver.RoleRegistry:
		return fmt.Errorf("%s: %w: %s", who, answer, remedy(who, ""))
	case status == http.StatusNotFound && r.target.Reference != "" && strings.Contains(path, "/manifests/"):
		return fmt.Errorf("%s has no %s: check the name and the tag", who, strings.TrimPrefix(r.target.text, host+"/"))
	case status == http.StatusNotFound && path == "/v2/":
		return fmt.Errorf("%s isn't a registry, it has no /v2/: check the host and the port", who)
	case status == http.StatusNotFound && r.target.Name != "":
		return fmt.Errorf("%s has no repository or namespace %s: check the name", who, r.target.Name)
	default:
		return fmt.Errorf("%s: %w", who, answer)
	}
}

// explainLogin is for 401, which says that a login is wanted, or another.
func (r *mountRequest) explainLogin(who resolver.Party, hadCredential bool) error {
	host := r.target.Host
	switch {
	case r.registry.Header.Get("Authorization") != "":
		return fmt.Errorf("%s doesn't accept the header Authorization (401): check it", who)
	case r.registry.Username != "":
		return fmt.Errorf("%s doesn't accept the username and password (401): check them", who)
	case r.registry.Password != "":
		return fmt.Errorf("%s doesn't accept the identity token (401): check it, or give the --username that a password is for", who)
	case hadCredential:
		return fmt.Errorf("%s doesn't accept the login that is configured (401): run oras login %s again", who, host)
	default:
		return fmt.Errorf("%s wants a login (401): run oras login %s, or use --username and --password-stdin", who, host)
	}
}
