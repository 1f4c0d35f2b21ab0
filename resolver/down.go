package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"
)

const (
	// downLasts is for how long a host that nobody asks for is known to be down.
	downLasts = time.Minute
	// probeDial bounds the connection of a probe.
	probeDial = 3 * time.Second
	// firstProbe is how long the first of them is waited for: what was silent may
	// have been one blob, and the host is well.
	firstProbe = time.Second
)

// A fall is that a host is down: every request fails at once with what made it
// so, while one probe at a time finds out when it is back. It is over when the
// host answers anything, and when nobody has asked for downLasts.
type fall struct {
	since time.Time
	cause error
	asked time.Time // when somebody last did
	stop  context.CancelFunc
	known chan struct{} // closed when the first probe has ended, or took too long
}

// A downError is why a host isn't asked.
type downError struct {
	host  string
	since time.Time
	cause error
}

func (e *downError) Error() string {
	return fmt.Sprintf("%s is down since %s: %s", e.host, e.since.Format(time.TimeOnly), e.cause)
}

func (e *downError) Unwrap() error { return e.cause }

// IsDown tells whether an error is that a host is known to be down: it wasn't
// asked.
func IsDown(err error) bool { return errors.As(err, new(*downError)) }

// refuses is the error of a request while the host is down, nil if it isn't.
func (h *host) refuses(ctx context.Context) error {
	h.mu.Lock()
	f := h.fallen
	if f != nil {
		f.asked = time.Now()
	}
	h.mu.Unlock()
	if f == nil {
		return nil
	}
	select {
	case <-f.known:
	case <-ctx.Done():
		return timedOut(ctx, ctx.Err())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fallen != f {
		return nil
	}
	return &downError{h.origin.Host, f.since, f.cause}
}

// heard notes that the host has answered something.
func (h *host) heard() {
	h.mu.Lock()
	h.answered = time.Now()
	h.mu.Unlock()
	h.rise(nil)
}

// contacted tells whether it ever did.
func (h *host) contacted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.answered.IsZero()
}

// state is closed while the host is down.
func (h *host) state() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fell
}

// gaveUp takes the host down after a request that began then and had no answer,
// in no attempt, unless the host has answered another since.
func (h *host) gaveUp(began time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fallen != nil || h.answered.After(began) {
		return
	}
	ctx, stop := context.WithCancel(h.table.ctx)
	now := time.Now()
	f := &fall{since: now, cause: redact(err), asked: now, stop: stop, known: make(chan struct{})}
	if !h.table.goProbe(func() { h.watch(ctx, f) }) {
		stop()
		return
	}
	h.fallen = f
	close(h.fell)
	h.table.options.Log.Debug("host is down", "host", h.origin.Host, "error", f.cause)
}

// rise ends that fall, if it still lasts; nil is any.
func (h *host) rise(f *fall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fallen == nil || f != nil && h.fallen != f {
		return
	}
	h.fallen.stop()
	h.table.options.Log.Debug("host is up", "host", h.origin.Host, "after", time.Since(h.fallen.since))
	h.fallen, h.fell = nil, make(chan struct{})
}

// watch probes until the fall is over.
func (h *host) watch(ctx context.Context, f *fall) {
	known := sync.OnceFunc(func() { close(f.known) })
	defer known()
	defer h.rise(f)
	defer time.AfterFunc(h.table.firstProbe, known).Stop()
	for !h.probe(ctx) {
		known()
		if sleep(ctx, h.table.probeEvery, nil) != nil {
			return
		}
		h.mu.Lock()
		forgotten := time.Since(f.asked) > downLasts
		h.mu.Unlock()
		if forgotten {
			return
		}
	}
}

// probe tells whether the host answers: anything, to a request without a
// credential but those that the user has given as headers.
func (h *host) probe(ctx context.Context) bool {
	timeout := h.table.options.Timeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := time.AfterFunc(min(probeDial, timeout), cancel)
	defer dial.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { dial.Stop() }})
	address := h.origin
	own := sameOrigin(address, h.table.origin)
	if own {
		address = address.JoinPath(h.table.endpoint.base + "/")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", h.table.options.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if own {
		req = h.table.withHeader(req)
	}
	began := time.Now()
	resp, err := h.transport.RoundTrip(req)
	h.table.options.Traffic.answered(h.origin.Host, "probe", began, resp, err)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// speaks tells whether a failure says something of the host: it had its time and
// said nothing, or there is no way to it. Its certificate, or a caller that went
// away, says nothing.
func (f *failure) speaks() bool {
	var timeout timeoutError
	var network net.Error
	switch {
	case !f.sent, errors.As(f.err, new(*refusedError)):
		return false
	case errors.As(f.err, &timeout):
		return timeout.stalled
	case errors.Is(f.err, context.Canceled), errors.Is(f.err, context.DeadlineExceeded):
		return false
	}
	return errors.As(f.err, &network) || brokenOff(f.err)
}

// brokenOff tells whether a connection was lost.
func brokenOff(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
