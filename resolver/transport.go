package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// newTransport is what all connections to one host come from. It speaks HTTP/1.1
// only: with HTTP/2 all ranges of a blob share one connection, and are as slow as
// that. It has no timeouts, since every attempt has.
func (t *hosts) newTransport(origin *url.URL, proxied bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxyAnswered,
		DialContext:            t.dialer(origin, proxied),
		TLSClientConfig:        t.tls,
		Protocols:              protocols,
		MaxIdleConnsPerHost:    4 * t.options.Concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// What is asked for is stored as it comes: it has a digest.
		DisableCompression: true,
	}
	if !sameOrigin(origin, t.origin) {
		return transport
	}
	pairs := certificatePairs(t.options, t.endpoint)
	if len(pairs) > 0 {
		transport.TLSClientConfig = t.tls.Clone()
		transport.TLSClientConfig.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return clientCertificate(pairs, asked)
		}
	}
	switch {
	case !proxied && t.endpoint.triesTLS():
		transport.DialContext = dialEither(transport.DialContext, transport.TLSClientConfig)
	case proxied && len(pairs) > 0: // a proxy that talks TLS isn't the registry
		transport.DialTLSContext = dialTLS(transport.DialContext, t.tls)
	}
	return transport
}

// certificatePairs are the files of the certificates that a host may be shown.
func certificatePairs(o Options, e endpoint) [][2]string {
	if o.CertFile == "" {
		return e.client
	}
	return append([][2]string{{o.CertFile, o.KeyFile}}, e.client...)
}

// clientCertificate is the one that a registry is shown, the first of those that it
// may take. All are read anew for each connection: they are renewed while a mount
// goes on.
func clientCertificate(pairs [][2]string, asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	var first *tls.Certificate
	for _, files := range pairs {
		cert, key := files[0], files[1]
		if key == "" {
			key = cert
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s with key %s: %w", cert, key, err)
		}
		if asked.SupportsCertificate(&pair) == nil {
			return &pair, nil
		}
		if first == nil {
			first = &pair
		}
	}
	return first, nil
}

// dialEither talks TLS with who talks it, and else HTTP as it is.
func dialEither(dial dialFunc, config *tls.Config) dialFunc {
	secure := dialTLS(dial, config)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := secure(ctx, network, address)
		if errors.As(err, new(tls.RecordHeaderError)) {
			return dial(ctx, network, address)
		}
		return conn, err
	}
}

// dialTLS connects and talks TLS.
func dialTLS(dial dialFunc, config *tls.Config) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := config.Clone()
		if config.ServerName, _, err = net.SplitHostPort(address); err == nil {
			secure := tls.Client(conn, config)
			if err = secure.HandshakeContext(ctx); err == nil {
				return secure, nil
			}
		}
		_ = conn.Close()
		return nil, err
	}
}

// proxyOf is the proxy that a host is asked through; nil is none. Where the
// environment names one that can't be, every request says so.
func proxyOf(origin *url.URL) *url.URL {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: origin})
	if err != nil {
		return nil
	}
	return proxy
}

// dialer connects to a host, or to the proxy that stands before it. It looks at
// the addresses that the host really has, and not at the proxy's, nor at one that
// the user has given.
func (t *hosts) dialer(origin *url.URL, proxied bool) dialFunc {
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	if sameOrigin(origin, t.origin) {
		dialer.Timeout = t.endpoint.dialTimeout
	}
	dial := t.options.resolving(dialer.DialContext)
	if proxied {
		return dial
	}
	own := sameOrigin(origin, t.origin)
	_, given := t.options.resolved(hostport(origin))
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil || own || given || t.isLocal.Load() || !local(addr.Addr()) {
			return err
		}
		return &refusedError{t.registry, origin.Host, addr.Addr().String()}
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil || !own {
			return conn, err
		}
		if addr, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil && local(addr.Addr()) {
			t.isLocal.Store(true)
		}
		return conn, nil
	}
}

// A refusedError is that a registry redirects to where only who is there already
// may send anybody: to this machine, or to the metadata service of its cloud.
type refusedError struct {
	registry, host, addr string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("registry %s redirects to %s, refused: %s is a local address", e.registry, e.host, e.addr)
}

// checkName refuses a local address that is named as one. A proxy would connect
// to it.
func (t *hosts) checkName(hostname string) error {
	if localName(hostname) && !t.isLocal.Load() {
		return &refusedError{t.registry, hostname, hostname}
	}
	return nil
}

// localName tells whether a host is by its name on a local address.
func localName(hostname string) bool {
	name := strings.ToLower(strings.TrimSuffix(hostname, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(hostname)
	return err == nil && local(addr)
}

// local tells whether an address is loopback, link-local, unspecified or that of
// a cloud's metadata service.
func local(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(auth.DefaultBlockedRealmPrefixes(), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// newTLS is the same for all hosts, but for the certificate that the registry is
// shown.
func newTLS(o Options, e endpoint) (*tls.Config, error) {
	for _, pair := range certificatePairs(o, e) {
		if _, err := clientCertificate([][2]string{pair}, new(tls.CertificateRequestInfo)); err != nil {
			return nil, err
		}
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.Insecure, //nolint:gosec // what --insecure is for
	}
	files := e.ca
	if o.CAFile != "" {
		files = append([]string{o.CAFile}, files...)
	}
	if len(files) == 0 {
		return config, nil
	}
	var err error
	config.RootCAs, err = certificates(files)
	return config, err
}

// certificates returns the system's CAs and those of PEM files.
func certificates(files []string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA file %s: no PEM certificate in it", file)
		}
	}
	return pool, nil
}
