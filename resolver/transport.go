package resolver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// newTransport is what all connections of a registry come from.
func newTransport(o Options) (*http.Transport, error) {
	tlsConfig := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.Insecure, //nolint:gosec // what --insecure is for
	}
	if o.CAFile != "" {
		pool, err := certificates(o.CAFile)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: o.Timeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    o.Timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           4 * o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// What is asked for is stored as it comes: it has a digest.
		DisableCompression: true,
		// An HTTP/2 connection outlives a request that was given up. One that
		// is dead has to be found out before the retry ends as well.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.Timeout / 2, PingTimeout: o.Timeout / 2},
	}, nil
}

// certificates returns the system's CAs and those of a PEM file.
func certificates(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA file %s: no PEM certificate in it", file)
	}
	return pool, nil
}

// retrying sends a request over base, again where that may help.
func (r *Registry) retrying(base http.RoundTripper) http.RoundTripper {
	transport := retry.NewTransport(base)
	transport.Policy = r.policy
	return transport
}

// policy is that of one request.
func (r *Registry) policy() retry.Policy {
	return &attempts{bound: 2 * r.timeout, backoff: r.backoff, contacted: &r.contacted, log: r.log, started: time.Now()}
}

// maxElements bounds the values of a document or a list by the commas between
// them: a million of the shortest need some 20 MiB once they are decoded.
const maxElements = 1 << 20

// A wholeTransport reads answers whole, within the attempt, so that one that
// breaks off is retried as any other failure. It is for metadata.
type wholeTransport struct {
	base  http.RoundTripper
	limit int64 // bytes; a longer answer is errdef.ErrSizeExceedsLimit
}

// RoundTrip implements http.RoundTripper.
func (t *wholeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil || req.Method == http.MethodHead {
		return resp, err
	}
	defer resp.Body.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(io.LimitReader(resp.Body, t.limit+1)); err != nil {
		return nil, err
	}
	if int64(content.Len()) > t.limit || bytes.Count(content.Bytes(), []byte(",")) > maxElements {
		return nil, fmt.Errorf("the answer has more than %d bytes or %d values: %w", t.limit, maxElements, errdef.ErrSizeExceedsLimit)
	}
	resp.Body = io.NopCloser(&content)
	resp.ContentLength = int64(content.Len())
	return resp, nil
}
