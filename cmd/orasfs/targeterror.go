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

	"github.com/orasfs/orasfs/resolver"
)

// explain says in one line what keeps a target from being mounted and what to
// do about it.
func (r *mountRequest) explain(err error) error {
	host := r.target.Host
	var (
		lookup      *net.DNSError
		certificate *tls.CertificateVerificationError
		notTLS      tls.RecordHeaderError
		answer      *errcode.ErrorResponse
		wrongName   x509.HostnameError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case r.target.layout != "":
		return r.explainLayout(err)
	case errors.As(err, &answer):
		return r.explainAnswer(answer, errors.Is(err, resolver.ErrCredential))
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return fmt.Errorf("unknown host %s: check the name", host)
	case errors.As(err, &lookup):
		return fmt.Errorf("the address of %s can't be looked up (%w): check the network", host, lookup)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refuses the connection: check that a registry runs there, and the port", host)
	case errors.As(err, &wrongName):
		return fmt.Errorf("the TLS certificate of %s is for another host (%w): check the name, or use --insecure", host, wrongName)
	case errors.As(err, &certificate):
		return fmt.Errorf("the TLS certificate of %s isn't trusted (%w): give its authority with --ca-file, or use --insecure", host, certificate.Err)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return fmt.Errorf("%s doesn't talk TLS: use --plain-http if it is meant to talk HTTP", host)
	case errors.Is(err, errdef.ErrNotFound) && r.target.Name != "":
		return fmt.Errorf("%s has no repository or namespace %s: check the name", host, r.target.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s doesn't answer in time (%w): check the network, or raise --timeout", host, err)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: mounting isn't permitted here (a container needs --cap-add SYS_ADMIN --device /dev/fuse)", err)
	default:
		return err
	}
}

// explainLayout is for a local OCI image layout.
func (r *mountRequest) explainLayout(err error) error {
	if errors.Is(err, errdef.ErrNotFound) && r.target.Reference != "" {
		return fmt.Errorf("%s has no %s: check the tag or the digest", r.target.layout, r.target.Reference)
	}
	return err
}

// explainAnswer is for what a registry answered with a status, to a credential or
// without.
func (r *mountRequest) explainAnswer(answer *errcode.ErrorResponse, hadCredential bool) error {
	host := r.target.Host
	switch {
	case answer.StatusCode == http.StatusUnauthorized && r.registry.Password != "":
		return fmt.Errorf("%s doesn't accept the username and password (401): check them", host)
	case answer.StatusCode == http.StatusUnauthorized && hadCredential:
		return fmt.Errorf("%s doesn't accept the login that is configured (401): run oras login %s again", host, host)
	case answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s wants a login (401): run oras login %s, or use --username and --password-stdin", host, host)
	case answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s denies access (403): check what the user may do, or log in as another with --username and --password-stdin", host)
	case answer.StatusCode == http.StatusNotFound && r.target.Reference != "" && answer.URL != nil && strings.Contains(answer.URL.Path, "/manifests/"):
		return fmt.Errorf("%s has no %s: check the name and the tag", host, strings.TrimPrefix(r.target.text, host+"/"))
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s isn't a registry, it has no /v2/: check the host and the port", host)
	case answer.StatusCode == http.StatusBadRequest && answer.URL != nil && answer.URL.Scheme == "http":
		return fmt.Errorf("%s refuses plain HTTP (400): if it talks TLS omit --plain-http, and for localhost give --ca-file or --insecure", host)
	default:
		return fmt.Errorf("%s: %w", host, answer)
	}
}
