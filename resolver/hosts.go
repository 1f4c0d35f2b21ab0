package resolver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// maxHosts bounds the hosts that one registry makes us talk to at a time.
const maxHosts = 64

// hosts is every host that a registry has to do with: its own, those that it
// redirects to, and its token service. It is the one way to the network: as an
// http.RoundTripper it sends each request to the host of its address.
type hosts struct {
	registry   string   // for errors
	endpoint   endpoint // whose hosts they are: the registry itself, or a mirror
	origin     *url.URL // its
	options    Options
	tls        *tls.Config
	probeEvery time.Duration
	firstProbe time.Duration // how long the first probe of a host is waited for

	isLocal atomic.Bool // the registry is itself on an address that isn't public

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	probes sync.WaitGroup
	ending sync.Mutex // guards closed
	closed bool       // nothing is added to probes

	mu    sync.Mutex // guards table, and users and used of each host
	table map[string]*host
}

func newHosts(registry string, e endpoint, o Options) (*hosts, error) {
	tlsConfig, err := newTLS(o, e)
	if err != nil {
		return nil, err
	}
	t := &hosts{
		registry: registry, endpoint: e, origin: e.origin, options: o, tls: tlsConfig,
		probeEvery: time.Second, firstProbe: firstProbe,
		table: make(map[string]*host),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.isLocal.Store(localName(e.origin.Hostname()))
	o.Traffic.join(t)
	return t, nil
}

// RoundTrip implements http.RoundTripper: one attempt.
func (t *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	role, own := t.roleOf(req)
	return t.send(req, role, own)
}

// send sends a request to a host of that role, with the user's headers if it is one
// to the registry.
func (t *hosts) send(req *http.Request, role Role, headers bool) (*http.Response, error) {
	if headers {
		req = t.withHeader(req)
	}
	h, err := t.enter(req.URL)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	return h.roundTrip(req, role, func() { t.leave(h) })
}

// enter finds the host of an address, which isn't forgotten until leave.
func (t *hosts) enter(u *url.URL) (*host, error) {
	if !sameOrigin(u, t.origin) {
		if err := t.checkName(u.Hostname()); err != nil {
			return nil, err
		}
	}
	origin := u.Scheme + "://" + hostport(u)
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.table[origin]
	if h == nil {
		if len(t.table) >= maxHosts && !t.forget() {
			return nil, fmt.Errorf("the registry %s redirects to more than %d hosts at once", t.registry, maxHosts)
		}
		h = newHost(t, u)
		t.table[origin] = h
	}
	h.users++
	return h, nil
}

func (t *hosts) leave(h *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.users--
	h.used = time.Now()
}

// forget drops the host that wasn't used for the longest time, one with nothing
// to remember if there is one. t.mu is held.
func (t *hosts) forget() bool {
	var oldest *host
	var key string
	plain := false
	for k, h := range t.table {
		if h.users > 0 || sameOrigin(h.origin, t.origin) {
			continue
		}
		p := h.plain()
		if oldest == nil || p && !plain || p == plain && h.used.Before(oldest.used) {
			oldest, key, plain = h, k, p
		}
	}
	if oldest == nil {
		return false
	}
	delete(t.table, key)
	oldest.rise(nil)
	oldest.transport.CloseIdleConnections()
	return true
}

// close ends the probes and the idle connections. Requests still work, and no
// host is down any more.
func (t *hosts) close() {
	t.ending.Lock()
	t.closed = true
	t.ending.Unlock()
	t.cancel()
	t.probes.Wait()
	t.options.Traffic.leave(t)
	t.mu.Lock()
	all := make([]*host, 0, len(t.table))
	for _, h := range t.table {
		all = append(all, h)
	}
	t.mu.Unlock()
	for _, h := range all {
		h.transport.CloseIdleConnections()
	}
}

// goProbe runs a probe, unless all is closed.
func (t *hosts) goProbe(probe func()) bool {
	t.ending.Lock()
	defer t.ending.Unlock()
	if !t.closed {
		t.probes.Go(probe)
	}
	return !t.closed
}

// hostport is HOST:PORT of an address.
func hostport(u *url.URL) string { return net.JoinHostPort(u.Hostname(), port(u)) }
