package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
)

// Which host is asked for what, and who is asked next, is decided here alone. The
// others know of mirrors what askEach and serving say: that one operation is asked
// of one client after the other.
//
// A mirror is a client of its own, with its own connections, credentials, tokens and
// knowledge of what is down. It is asked once: with a quarter of Options.Timeout for
// an answer, without retries, and not at all once what a caller waits for has come to
// its second half. Whatever goes wrong, the next one is asked, and the error of the
// last, the registry itself, is what counts. Lists of repositories and tags are the
// registry's own: what a mirror lists says nothing of what there is.

const (
	// mirrorShare is how often what a mirror may take for an answer goes into
	// Options.Timeout.
	mirrorShare = 4
	// stallAside is for how long a mirror isn't asked that gave no answer in time,
	// and lieAside one that gave something else than it was asked for. That it is up
	// says nothing of the next time.
	stallAside = time.Minute
	lieAside   = 5 * time.Minute
	// maxServing bounds the blobs of which it is known who serves them.
	maxServing = 4096
)

// A way is one host that a registry's content may come from.
type way struct {
	*Registry
	can  capabilities
	own  bool // the registry itself
	last bool // the registry itself, or what stands in its place

	mu    sync.Mutex // guards everything below
	aside time.Time  // not asked before
	told  time.Time  // when the log last said that it failed
}

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
// before holds, but for the credentials, and the error says what.
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

// able are the ways that may be asked for something, in order.
func (m *mirrors) able(need capabilities) []*way {
	var able []*way
	for _, w := range m.list() {
		if w.can.all(need) && !w.isAside() {
			able = append(able, w)
		}
	}
	return able
}

// repository is a repository there.
func (w *way) repository(name string) *Repository {
	return &Repository{registry: w.Registry, name: name}
}

// passed tells whether the way is one that may take only its share of the time.
func (w *way) passed() bool { return w.hosts.endpoint.passed }

func (w *way) isAside() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.aside)
}

// named is an error of the way, with its name if it is a mirror.
func (w *way) named(err error) error {
	if err == nil || w.own {
		return err
	}
	return &mirrorError{Party{RoleMirror, w.origin.Host, w.hosts.endpoint.mirrorOf}, err}
}

// failed takes that what began then went wrong, and another way is tried.
func (w *way) failed(began time.Time, err error) {
	var f *failure
	var timeout timeoutError
	if errors.As(err, &f) && f.speaks() {
		f.host.gaveUp(began, f.err)
	}
	aside := time.Duration(0)
	switch {
	case errors.Is(err, errMismatch):
		aside = lieAside
	case errors.As(err, &timeout) && !IsDown(err):
		aside = stallAside
	}
	w.mu.Lock()
	now := time.Now()
	tell := aside > 0 || !IsDown(err) && !denies(statusOf(err)) && !errors.Is(err, errdef.ErrNotFound) && now.Sub(w.told) > stallAside
	if tell {
		w.told = now
	}
	if !w.own {
		w.aside = now.Add(aside)
	}
	w.mu.Unlock()
	level := slog.LevelDebug
	if tell {
		level = slog.LevelWarn
	}
	w.log.Log(context.Background(), level, "a host is passed over, the next one is asked", "host", w.host, "not asked for", aside, "error", redact(w.named(err)))
}

// errNobody is that no host may be asked.
var errNobody = fmt.Errorf("no host is there that may be asked for it: %w", errdef.ErrUnsupported)

// askEach asks for something of a repository, one way after the other. It ends within
// twice Options.Timeout.
func askEach[T any](ctx context.Context, r *Repository, need capabilities, ask func(context.Context, *Repository) (T, error)) (got T, err error) {
	ctx, cancel := withBound(ctx, r.registry.bound())
	defer cancel()
	err = errNobody
	for _, w := range r.registry.mirrors.able(need) {
		if w.passed() && left(ctx) < r.registry.timeout {
			continue
		}
		began := time.Now()
		if got, err = askWay(ctx, w, r.name, ask); err == nil {
			return got, nil
		}
		err = w.named(err)
		if w.last || ctx.Err() != nil {
			break
		}
		w.failed(began, err)
	}
	return got, err
}

func askWay[T any](ctx context.Context, w *way, name string, ask func(context.Context, *Repository) (T, error)) (T, error) {
	if w.passed() {
		var cancel context.CancelFunc
		ctx, cancel = withBound(ctx, w.bound())
		defer cancel()
	}
	return ask(ctx, w.repository(name))
}

// blobKey is a blob's, for who serves it.
func (r *Repository) blobKey(d digest.Digest) string { return r.name + "@" + d.String() }

// serving is the way that serves a blob: the first that may, until it has failed.
func (r *Repository) serving(ctx context.Context, d digest.Digest) (*way, error) {
	m := r.registry.mirrors
	able := m.able(canPull)
	if left(ctx) < r.registry.timeout {
		able = slices.DeleteFunc(able, func(w *way) bool { return w.passed() })
	}
	if len(able) == 0 {
		return nil, errNobody
	}
	chosen, ok := m.serving.Get(r.blobKey(d))
	switch {
	case ok && slices.Contains(able, chosen):
		return chosen, nil
	case len(able) > 1:
		m.serving.Add(r.blobKey(d), able[0])
	}
	return able[0], nil
}

// passOver has a blob served by the way after one that failed: again is that there is
// one. After the last the first has its turn again, another time.
func (r *Repository) passOver(w *way, d digest.Digest, began time.Time, err error) (again bool) {
	m, key := r.registry.mirrors, r.blobKey(d)
	if !w.last {
		w.failed(began, err)
	}
	able := m.able(canPull)
	next := slices.IndexFunc(able, func(other *way) bool { return m.after(other, w) })
	if chosen, ok := m.serving.Get(key); ok && chosen != w {
		return !w.last // another request of the blob has seen to it
	}
	if next < 0 {
		m.serving.Remove(key)
		return false
	}
	m.serving.Add(key, able[next])
	return true
}

// after tells whether one way is asked after another. One that isn't used any more is
// before all.
func (m *mirrors) after(w, other *way) bool {
	ways := m.list()
	return slices.Index(ways, w) > slices.Index(ways, other)
}

// addresses are where the ways lead, for those who tell them apart.
func addresses(ways []*way) []string {
	var all []string
	for _, w := range ways {
		all = append(all, w.origin.String()+w.hosts.endpoint.base)
	}
	return all
}
