package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
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
	// stallAside is for how long a mirror isn't asked that gave no answer in time. It
	// doubles with each time that it gives none, maxWaits times at most. That the mirror
	// is up says nothing of the next time.
	stallAside = time.Minute
	maxWaits   = 4
	// lieAside is the same for one that gave something else than it was asked for.
	lieAside = 5 * time.Minute
)

// A way is one host that a registry's content may come from.
type way struct {
	*Registry
	can  capabilities
	own  bool // the registry itself
	last bool // the registry itself, or what stands in its place

	sendsWhole atomic.Bool // it has sent a whole blob for a part

	mu    sync.Mutex // guards everything below
	aside time.Time  // not asked before
	waits int        // in vain, one after the other
	told  time.Time  // when the log last said that it failed
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
	if err == nil || w.own || errors.As(err, new(*mirrorError)) {
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
	now, aside := time.Now(), time.Duration(0)
	w.mu.Lock()
	switch {
	case w.own, now.Before(w.aside): // others have failed with it
	case errors.Is(err, errMismatch):
		aside = lieAside
	case errors.As(err, &timeout) && !IsDown(err):
		aside = stallAside << w.waits
		w.waits = min(w.waits+1, maxWaits)
	}
	tell := aside > 0 || !IsDown(err) && !denies(statusOf(err)) && !errors.Is(err, errdef.ErrNotFound) && now.Sub(w.told) > stallAside
	if tell {
		w.told = now
	}
	if aside > 0 {
		w.aside = now.Add(aside)
	}
	w.mu.Unlock()
	level := slog.LevelDebug
	if tell {
		level = slog.LevelWarn
	}
	w.log.Log(context.Background(), level, "a host is passed over, the next one is asked", "host", w.host, "not asked for", aside, "error", redact(w.named(err)))
}

// worked takes that it gave what it was asked for.
func (w *way) worked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = 0
}

// errNobody is that no host may be asked.
var errNobody = fmt.Errorf("no host is there that may be asked for it: %w", errdef.ErrUnsupported)

// askEach asks for something of a repository, one way after the other. It ends within
// twice Options.Timeout.
func askEach[T any](ctx context.Context, r *Repository, need capabilities, ask func(context.Context, *Repository) (T, error)) (got T, err error) {
	ctx, cancel := withBound(ctx, r.registry.bound())
	defer cancel()
	err = errNobody
	others := min(r.registry.timeout, left(ctx)/2) // what mirrors leave them
	for _, w := range r.registry.mirrors.able(need) {
		if w.passed() && left(ctx) < others {
			continue
		}
		began := time.Now()
		if got, err = askWay(ctx, w, r.name, others, ask); err == nil {
			w.worked()
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

// askWay asks one. A mirror leaves the others so much of the time.
func askWay[T any](ctx context.Context, w *way, name string, others time.Duration, ask func(context.Context, *Repository) (T, error)) (T, error) {
	if w.passed() {
		var cancel context.CancelFunc
		ctx, cancel = withBound(ctx, min(w.bound(), left(ctx)-others))
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
