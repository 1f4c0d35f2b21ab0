package resolver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A host is what one scheme, host and port can take, and what is known of it.
type host struct {
	table     *hosts
	origin    *url.URL
	proxy     *url.URL // the one that it is asked through; nil is none
	transport *http.Transport
	bodies    *slots
	// others bounds the requests that aren't for a blob, so that a blob that
	// stalls doesn't hold up a tag.
	others chan struct{}

	mu       sync.Mutex // guards everything below
	answered time.Time  // when it last did
	holds    map[string]hold
	fallen   *fall         // nil while it is up
	fell     chan struct{} // closed while it is down

	users int       // requests under way; table.mu guards it
	used  time.Time // when the last one ended; table.mu guards it
}

func newHost(t *hosts, u *url.URL) *host {
	h := &host{
		table:  t,
		origin: &url.URL{Scheme: u.Scheme, Host: u.Host},
		bodies: newSlots(t.options.Concurrency),
		others: make(chan struct{}, 2*t.options.Concurrency),
		holds:  make(map[string]hold),
		fell:   make(chan struct{}),
	}
	h.proxy = proxyOf(h.origin)
	h.transport = t.newTransport(h.origin, h.proxy != nil)
	return h
}

// A failure is that a host gave no answer. It reads as what it wraps, and names who
// it was: party.go.
type failure struct {
	host *host
	role Role
	err  error
	sent bool // else the request didn't come to its turn
}

func (f *failure) Unwrap() error { return f.err }

// Timeout is for a *url.Error, which asks what it wraps directly.
func (f *failure) Timeout() bool {
	var network net.Error
	return errors.As(f.err, &network) && network.Timeout()
}

// roundTrip waits for the request's turn and sends it once. It asks for an answer
// that isn't compressed: what comes is judged by its bytes. What comes so all the
// same is undone here, but for blobs, whose bytes may be compressed themselves.
func (h *host) roundTrip(req *http.Request, role Role, left func()) (*http.Response, error) {
	place, err := h.admit(req)
	if err != nil {
		left()
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &failure{host: h, role: role, err: err}
	}
	sent := req.WithContext(req.Context())
	sent.Header = sent.Header.Clone()
	sent.Header.Set("Accept-Encoding", "identity")
	if role == h.table.role() {
		h.table.endpoint.readdress(sent)
	}
	began := time.Now()
	resp, err := attempt(h.transport, sent, h.table.options.Timeout, func() {
		place.leave()
		left()
	})
	h.table.options.Traffic.answered(h.origin.Host, askedFor(req, role), began, resp, err)
	if err != nil {
		return nil, &failure{host: h, role: role, err: err, sent: true}
	}
	h.heard()
	h.heed(resp)
	place.watch(resp)
	h.table.endpoint.canonical(resp)
	chooseChallenge(resp)
	if !asksBlob(req) {
		undo(resp)
	}
	return resp, nil
}

// admit waits until the host may be asked.
func (h *host) admit(req *http.Request) (place, error) {
	ctx, limited := req.Context(), limitedAs(req)
	for {
		fell, err := h.await(ctx, limited)
		if err != nil {
			return place{}, err
		}
		p, err := h.place(ctx, fell, turnOf(req))
		switch {
		case errors.Is(err, errStopped): // await says why
		case err != nil:
			return place{}, err
		case h.free(limited):
			return p, nil
		default:
			p.leave()
		}
	}
}

// await returns once nothing forbids a request of that kind: with what tells
// that the host went down, or with why it won't be asked.
func (h *host) await(ctx context.Context, limited string) (fell <-chan struct{}, err error) {
	for {
		if err := h.refuses(ctx); err != nil {
			return nil, err
		}
		h.mu.Lock()
		fell, held := h.fell, h.held(limited)
		h.mu.Unlock()
		switch {
		case held == nil:
			return fell, nil
		case time.Until(held.until) > left(ctx) || h.table.endpoint.passed:
			return nil, held
		}
		if err := sleep(ctx, time.Until(held.until), fell); err != nil && !errors.Is(err, errStopped) {
			return nil, err
		}
	}
}

// free tells whether await would return at once.
func (h *host) free(limited string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fallen == nil && h.held(limited) == nil
}

// plain tells whether there is nothing to remember of the host.
func (h *host) plain() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for limited := range h.holds {
		if h.held(limited) != nil {
			return false
		}
	}
	return h.fallen == nil
}

// sleep waits for d, until ctx ends, or until stop is closed (errStopped).
func sleep(ctx context.Context, d time.Duration, stop <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return timedOut(ctx, ctx.Err())
	case <-stop:
		return errStopped
	}
}

// turnKey is the key of a request's turn in its context.
type turnKey struct{}

// A turnAt is the turn of the request for one address, of a blob; nil where it takes
// no slot. The request for a token
// that it may need has the same context and isn't meant.
type turnAt struct {
	*turn
	address string
}

// withTurn makes a request a blob's.
func withTurn(ctx context.Context, t *turn, address *url.URL) context.Context {
	return context.WithValue(ctx, turnKey{}, turnAt{t, address.String()})
}

// asksBlob tells whether a request is one for a blob's bytes.
func asksBlob(req *http.Request) bool {
	t, ok := req.Context().Value(turnKey{}).(turnAt)
	return ok && t.address == req.URL.String()
}

// turnOf is the turn of a request for a blob, nil for any other.
func turnOf(req *http.Request) *turn {
	t, ok := req.Context().Value(turnKey{}).(turnAt)
	if !ok || t.address != req.URL.String() {
		return nil
	}
	return t.turn
}
