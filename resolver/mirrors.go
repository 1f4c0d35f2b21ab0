package resolver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"oras.land/oras-go/v2/registry"
)

// Which hosts there are for a registry is known here: way.go says which of them is
// asked.

// maxServing bounds the blobs of which it is known who serves them.
const maxServing = 4096

// mirrors are the ways to a registry.
type mirrors struct {
	registry *Registry
	options  Options
	serving  *lru.Cache[string, *way] // who serves a blob, by its address

	closing sync.WaitGroup // of what isn't used any more

	mu    sync.Mutex // guards everything below
	dir   hostsDir
	ways  []*way // in the order they are asked
	ended bool
}

// newMirrors reads what Options.HostsDir says of a registry.
func newMirrors(r *Registry, o Options) (*mirrors, error) {
	serving, err := lru.New[string, *way](maxServing)
	if err != nil {
		return nil, err
	}
	m := &mirrors{registry: r, options: o, serving: serving, dir: hostsDir{root: o.HostsDir, host: r.host, log: o.Log, every: hostsEvery}}
	if o.CAFile != "" {
		m.dir.more = []string{o.CAFile}
	}
	all, err := m.dir.load()
	switch {
	case err != nil:
	case len(all) == 0:
		m.ways = []*way{{Registry: r, can: canAll, own: true, last: true}}
	default:
		m.ways, err = m.open(all)
	}
	if err != nil {
		return nil, fmt.Errorf("how %s is reached: %w", r.host, err)
	}
	return m, nil
}

// list is the ways as they are now.
func (m *mirrors) list() []*way {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dir.changed() {
		if err := m.reload(); err != nil {
			m.options.Log.Warn("how a registry is reached can't be read again, what was read before holds", "registry", m.registry.host, "error", err)
		}
	}
	return m.ways
}

// reload makes all clients anew. Where that fails those that were there stay. m.mu is
// held.
func (m *mirrors) reload() error {
	if m.ended {
		return nil
	}
	all, err := m.dir.load()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		all = []endpoint{{base: defaultBase, can: canAll}}
	}
	ways, err := m.open(all)
	if err != nil {
		return err
	}
	before := m.ways
	m.ways = ways
	m.serving.Purge()
	m.options.Log.Info("how a registry is reached was read again", "registry", m.registry.host, "hosts", strings.Join(addresses(ways), " "))
	m.closing.Go(func() { closeAll(before, m.registry) })
	return nil
}

// Reload reads what says how the registry is reached at once: credentials,
// certificates, and who is asked in its place. Where that is broken what was read
// before holds, and the error says what.
func (r *Registry) Reload() error {
	r.identity.forget()
	r.mirrors.mu.Lock()
	defer r.mirrors.mu.Unlock()
	if err := r.mirrors.reload(); err != nil {
		return fmt.Errorf("how %s is reached: %w", r.host, err)
	}
	return nil
}

// open makes the clients.
func (m *mirrors) open(all []endpoint) (ways []*way, err error) {
	for i, e := range all {
		w := &way{can: e.can, last: i == len(all)-1}
		w.own = m.isOwn(e, w.last)
		if w.Registry, err = m.connect(e, w); err != nil {
			closeAll(ways, m.registry)
			return nil, err
		}
		ways = append(ways, w)
	}
	return ways, nil
}

// isOwn tells whether an endpoint is the registry itself.
func (m *mirrors) isOwn(e endpoint, last bool) bool {
	own := m.registry.origin
	if e.origin == nil {
		return true
	}
	at := &url.URL{Scheme: e.origin.Scheme, Host: hubHost(e.origin.Host)}
	return sameOrigin(at, own) || last && strings.EqualFold(at.Host, own.Host) // in the way that it says
}

// hubHost is the host of Docker Hub's registry where its name is given.
func hubHost(host string) string { return registry.Reference{Registry: host}.Host() }

// connect makes the client of an endpoint: what the user has given goes to the
// registry alone, and what a file says of a host to that host.
func (m *mirrors) connect(e endpoint, w *way) (*Registry, error) {
	o, host := m.options, m.registry.host
	switch {
	case e.origin == nil:
		e.origin = m.registry.origin
	case w.own:
		e.origin = &url.URL{Scheme: e.origin.Scheme, Host: m.registry.origin.Host}
	default:
		host, e.ns, e.mirrorOf = e.origin.Host, host, host
		o.Username, o.Password, o.CertFile, o.KeyFile, o.Header = "", "", "", "", nil
	}
	if e.skipVerify != nil {
		o.Insecure = *e.skipVerify
	}
	if len(e.header) > 0 {
		header := e.header.Clone()
		maps.Copy(header, o.Header)
		o.Header = header
	}
	if e.passed = !w.own && !w.last; e.passed {
		o.Timeout = max(o.Timeout/mirrorShare, time.Millisecond)
	}
	r, err := newRegistry(host, e, o)
	if err != nil {
		return nil, err
	}
	r.met = m.registry.met // whoever gave it
	return r, nil
}

// closeAll closes clients, but for one.
func closeAll(ways []*way, but *Registry) {
	for _, w := range ways {
		if w.Registry != but {
			_ = w.Close()
		}
	}
}

func (m *mirrors) close() {
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.closing.Wait()
	closeAll(m.ways, m.registry)
}

// server is the client of the registry itself, or of what stands in its place: the
// one that lists, and that has to be there.
func (m *mirrors) server() *Registry {
	ways := m.list()
	for _, w := range ways {
		if w.own {
			return w.Registry
		}
	}
	return ways[len(ways)-1].Registry
}

// stands tells whether a mirror answers for a registry that gave no answer.
func (m *mirrors) stands(ctx context.Context, err error) bool {
	if !errors.As(err, new(*failure)) && !Unavailable(statusOf(err)) {
		return false
	}
	for _, w := range m.able(canPull | canResolve) {
		if !w.own && w.ping(ctx) == nil {
			m.options.Log.Warn("the registry isn't reached, a mirror of it is", "registry", m.registry.host, "mirror", w.host, "error", redact(err))
			return true
		}
	}
	return false
}

// addresses are where the ways lead, for those who tell them apart.
func addresses(ways []*way) []string {
	var all []string
	for _, w := range ways {
		all = append(all, w.origin.String()+w.hosts.endpoint.base)
	}
	return all
}
