package resolver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"
)

// ErrTalksTLS is that a registry was asked in plain HTTP and talks TLS.
var ErrTalksTLS = errors.New("it talks TLS, not plain HTTP")

// talksTLS tells whether a registry that was asked in plain HTTP failed because it
// talks TLS. What such a server says to HTTP is its own affair: some answer 400, some
// end the connection. So it is tried.
func (r *Registry) talksTLS(ctx context.Context, err error) bool {
	var lookup *net.DNSError
	switch status := statusOf(err); {
	case r.origin.Scheme != "http" || proxyOf(r.origin) != nil:
		return false
	case status != 0 && status != http.StatusBadRequest:
		return false
	case errors.As(err, &lookup), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, context.Canceled):
		return false
	}
	ctx, cancel := withBound(ctx, r.timeout)
	defer cancel()
	conn, err := r.hosts.dialer(r.origin, false)(ctx, "tcp", hostport(r.origin))
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	// Whose certificate it has is no matter here.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx) //nolint:gosec // no secret goes there
	var alert *net.OpError
	return err == nil || errors.As(err, &alert) && alert.Op == "remote error"
}

// NoTLS tells whether an error says that a host, which was asked for TLS, talks
// something else.
func NoTLS(err error) bool {
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, new(tls.RecordHeaderError))
}
