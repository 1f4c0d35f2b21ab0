package resolver

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	maxRetries = 5
	// firstBackoff doubles with each retry, and each wait is up to a quarter
	// longer or shorter, so that clients that failed together come back apart.
	firstBackoff = 250 * time.Millisecond
	// backoffsOf is how often the first goes into Options.Timeout at least, so
	// that all retries fit into it.
	backoffsOf = 40
)

// retries decide whether something is tried again: a request, or the rest of a
// body. They begin anew with each minProgress bytes.
type retries struct {
	backoff time.Duration
	most    int // failures
	log     *slog.Logger
	traffic *Traffic

	began    time.Time // when it was first tried
	failures int       // since the beginning or the last progress
	stalled  bool      // one of them was a stall
	got      int64     // bytes since then
	silence  *failure  // the last one that a host had its time for
}

func (r *Registry) newRetries() *retries {
	most := maxRetries
	if r.hosts.endpoint.passed {
		most = 0 // there is somebody else to be asked
	}
	return &retries{backoff: r.backoff, most: most, log: r.log, traffic: r.hosts.options.Traffic, began: time.Now()}
}

// try calls once until it succeeds or there is no use in going on.
func (r *Registry) try(ctx context.Context, once func() error) error {
	t := r.newRetries()
	for {
		err := once()
		if err == nil {
			return nil
		}
		if err := t.next(ctx, err); err != nil {
			return err
		}
	}
}

// progress counts bytes that came.
func (t *retries) progress(n int) {
	if t.got += int64(n); t.got >= minProgress {
		t.got, t.failures, t.stalled, t.began, t.silence = 0, 0, false, time.Time{}, nil
	}
}

// next waits and returns nil where another attempt makes sense, and else the
// error that ends it all. No wait goes beyond the end of ctx.
func (t *retries) next(ctx context.Context, err error) error {
	if t.began.IsZero() {
		t.began = time.Now()
	}
	var f *failure
	var fell <-chan struct{}
	if errors.As(err, &f) {
		fell = f.host.state()
		if f.speaks() {
			t.silence = f
		}
	}
	if ctx.Err() != nil {
		return t.giveUp(timedOut(ctx, err))
	}
	wait := jitter(t.backoff << t.failures)
	var asked *waitError
	if errors.As(err, &asked) {
		wait = max(wait, min(asked.wait, maxHold))
	}
	if t.failures >= t.most || !t.again(err) || wait > left(ctx) {
		return t.giveUp(err)
	}
	t.failures++
	t.traffic.retried(err)
	t.log.Debug("request is sent again", "attempt", t.failures, "wait", wait, "error", redact(err))
	if stopped := sleep(ctx, wait, fell); stopped != nil && !errors.Is(stopped, errStopped) {
		return t.giveUp(stopped)
	}
	return nil // if the host went down meanwhile it says so itself
}

// giveUp ends it with err. The host that gave no answer is down, also where what
// came to an end was the time in its queue.
func (t *retries) giveUp(err error) error {
	if t.silence != nil {
		t.silence.host.gaveUp(t.began, t.silence.err)
	}
	return err
}

// again tells whether another attempt may end otherwise.
func (t *retries) again(err error) bool {
	var f *failure
	if errors.As(err, &f) && !f.sent {
		return false
	}
	var timeout timeoutError
	if errors.As(err, &timeout) && timeout.stalled {
		// The attempt's connection is gone with it. What stalled twice has had
		// its time.
		first := !t.stalled
		t.stalled = true
		return first
	}
	if status := statusOf(err); status != 0 {
		return passing(status)
	}
	return transient(err)
}

// passing tells whether a status is one that may pass.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError:
		return true
	}
	return Unavailable(status)
}

// Unavailable tells whether a status is that of the whole server, and not of what
// it was asked: it can't answer at the moment, or what stands before it has no answer
// from it. What is above 511 stands for that at CDNs.
func Unavailable(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		520, 521, 522, 523, 524, 530:
		return true
	}
	return false
}

// transient tells whether a failure without an answer may pass. A host that
// refuses the very first connection isn't waited for: it is likely wrong.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var f *failure
	contacted := errors.As(err, &f) && f.host.contacted()
	if errors.Is(err, syscall.ECONNREFUSED) {
		return contacted
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return lookup.IsTemporary && contacted
	}
	return brokenOff(err)
}

func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}
