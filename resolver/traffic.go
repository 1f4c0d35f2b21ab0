package resolver

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Traffic counts what was asked of hosts, and how that went: by every Registry whose
// Options have it. It is safe for concurrent use, and nil counts nothing. What it
// holds is bounded, whatever hosts registries redirect to and whatever they answer.
type Traffic struct {
	mu       sync.Mutex // guards what follows; held for as long as a number is added
	hosts    map[string]*hostTraffic
	retries  map[string]int64
	networks map[*hosts]struct{} // of the registries that are open
}

// maxCounted is how many hosts are counted by name; all others are one, OtherHosts.
const maxCounted = 32

// OtherHosts stands for the hosts that aren't counted by name.
const OtherHosts = "other"

// RequestBounds are the bounds of RequestTraffic.Buckets, in seconds.
var RequestBounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// hostTraffic is that of one host.
type hostTraffic struct {
	received atomic.Int64
	requests map[asked]*times // Traffic.mu guards it
}

// asked is what requests to a host have in common.
type asked struct{ kind, outcome string }

// times are how long requests of one kind took.
type times struct {
	count   uint64
	sum     time.Duration
	buckets [len(RequestBounds)]uint64
}

// HostTraffic is what a host was asked.
type HostTraffic struct {
	Host     string // HOST[:PORT], or OtherHosts
	Received int64  // bytes of bodies, as they came
	Requests []RequestTraffic
}

// RequestTraffic is how requests of one kind to one host went.
type RequestTraffic struct {
	// Kind is what was asked for: blob, manifest, tags, referrers, catalog, token,
	// probe (whether a host is back), or other.
	Kind string
	// Outcome is the status, as 200; its class, as 4xx, where it is an unusual one;
	// or what there was in place of an answer: timeout, cancelled or failed.
	Outcome string
	Count   uint64
	Seconds float64 // until the answers began, all together
	// Buckets are how many of them took no longer than each of RequestBounds.
	Buckets [len(RequestBounds)]uint64
}

// Snapshot is what was counted so far, in no order.
func (t *Traffic) Snapshot() []HostTraffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]HostTraffic, 0, len(t.hosts))
	for name, h := range t.hosts {
		of := HostTraffic{Host: name, Received: h.received.Load()}
		for what, took := range h.requests {
			of.Requests = append(of.Requests, RequestTraffic{what.kind, what.outcome, took.count, took.sum.Seconds(), took.buckets})
		}
		all = append(all, of)
	}
	return all
}

// Retries are how often something was sent again, by the reason: throttled,
// unavailable, failed (another status), stalled or broken (the connection).
func (t *Traffic) Retries() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	retries := make(map[string]int64, len(t.retries))
	maps.Copy(retries, t.retries)
	return retries
}

// host is the traffic of a host by its name. t.mu is held.
func (t *Traffic) host(name string) *hostTraffic {
	h := t.hosts[name]
	if h == nil && len(t.hosts) >= maxCounted && name != OtherHosts {
		return t.host(OtherHosts)
	}
	if h == nil {
		if t.hosts == nil {
			t.hosts = make(map[string]*hostTraffic)
		}
		h = &hostTraffic{requests: make(map[asked]*times)}
		t.hosts[name] = h
	}
	return h
}

// answered counts a request that was sent to a host at some time, and from now on
// the bytes of the answer's body.
func (t *Traffic) answered(host, kind string, began time.Time, resp *http.Response, err error) {
	if t == nil {
		return
	}
	took := time.Since(began)
	what := asked{kind, outcomeOf(resp, err)}
	t.mu.Lock()
	h := t.host(host)
	all := h.requests[what]
	if all == nil {
		all = new(times)
		h.requests[what] = all
	}
	all.count++
	all.sum += took
	for i, bound := range RequestBounds {
		if took.Seconds() <= bound {
			all.buckets[i]++
		}
	}
	t.mu.Unlock()
	if err == nil {
		resp.Body = &receivedBody{resp.Body, &h.received}
	}
}

// retried counts what is sent again after err.
func (t *Traffic) retried(err error) {
	if t == nil {
		return
	}
	reason := "broken"
	status := statusOf(err)
	switch {
	case status == http.StatusTooManyRequests:
		reason = "throttled"
	case Unavailable(status):
		reason = "unavailable"
	case status != 0:
		reason = "failed"
	case errors.Is(err, context.DeadlineExceeded):
		reason = "stalled"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retries == nil {
		t.retries = make(map[string]int64)
	}
	t.retries[reason]++
}

// A receivedBody counts what comes.
type receivedBody struct {
	io.ReadCloser
	received *atomic.Int64
}

// Read implements io.Reader.
func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received.Add(int64(n))
	return n, err
}

// kinds are those of requests to a registry, by a part of their path.
var kinds = [...]struct{ part, kind string }{
	{"/blobs/", "blob"}, {"/manifests/", "manifest"}, {"/tags/list", "tags"}, {"/referrers/", "referrers"}, {"/_catalog", "catalog"},
}

// askedFor is what a request asks for. One that was redirected asks for what the first
// one did.
func askedFor(req *http.Request, role Role) string {
	switch {
	case role == RoleTokenService:
		return "token"
	case asksBlob(req):
		return "blob"
	}
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
	}
	for _, k := range kinds {
		if strings.HasPrefix(req.URL.Path, apiPath) && strings.Contains(req.URL.Path, k.part) {
			return k.kind
		}
	}
	return "other"
}

// outcomeOf is what became of a request.
func outcomeOf(resp *http.Response, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case err != nil:
		return "failed"
	case usual(resp.StatusCode):
		return strconv.Itoa(resp.StatusCode)
	}
	return strconv.Itoa(resp.StatusCode/100) + "xx"
}

// usual tells whether a status is one that registries and CDNs give: a host can't
// make more of them to be counted.
func usual(status int) bool {
	switch status {
	case http.StatusOK, http.StatusPartialContent,
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestTimeout, http.StatusRequestedRangeNotSatisfiable, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return Unavailable(status)
}
