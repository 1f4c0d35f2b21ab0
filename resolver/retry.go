package resolver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxRetries = 5
	// firstBackoff doubles with each retry, and each wait is up to a quarter
	// longer or shorter, so that clients that failed together come back apart.
	firstBackoff = 250 * time.Millisecond
)

// attempts decides for one request whether it is sent again. It is a policy of
// oras-go's retry.Transport, which makes a new one for each request.
type attempts struct {
	bound     time.Duration // no wait ends later than this after started
	backoff   time.Duration
	contacted *atomic.Bool // the host has answered something before
	log       *slog.Logger

	started  time.Time
	timedOut bool
}

// Retry implements retry.Policy: a negative duration is no retry.
func (a *attempts) Retry(attempt int, resp *http.Response, err error) (time.Duration, error) {
	if resp != nil {
		a.contacted.Store(true)
	}
	if attempt >= maxRetries || !a.again(resp, err) {
		return -1, nil
	}
	wait := jitter(a.backoff << attempt)
	if resp != nil {
		if asked, ok := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			wait = max(wait, asked)
		}
	}
	if time.Since(a.started)+wait > a.bound {
		return -1, nil
	}
	if err != nil {
		a.log.Debug("request is sent again", "attempt", attempt+1, "wait", wait, "error", redact(err))
	} else {
		a.log.Debug("request is sent again", "attempt", attempt+1, "wait", wait,
			"method", resp.Request.Method, "host", resp.Request.URL.Host, "path", resp.Request.URL.Path, "status", resp.StatusCode)
	}
	return wait, nil
}

// again tells whether the same request may get another answer.
func (a *attempts) again(resp *http.Response, err error) bool {
	if err == nil {
		switch resp.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var timeout timeoutError
	if errors.As(err, &timeout) && timeout.stalled {
		// The attempt's connection is gone with it. One that stalled twice
		// has had its time.
		first := !a.timedOut
		a.timedOut = true
		return first
	}
	return a.transient(err)
}

// transient tells whether a failure without an answer may pass. A host that
// refuses the very first connection isn't waited for: it is likely wrong.
func (a *attempts) transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return a.contacted.Load()
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return lookup.IsTemporary && a.contacted.Load()
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(streamError))
}

// A streamError is how net/http tells that a server ended one HTTP/2 stream
// (RFC 9113, section 5.4.2). Its type has no exported name, and sets any
// struct of the same fields that errors.As is given.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "HTTP/2 stream error" }

func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// parseRetryAfter reads the value of a Retry-After header (RFC 9110, section
// 10.2.3): seconds, or a date. A date that is past is no wait.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		const longest = 1 << 30 // about 34 years; more would overflow
		return time.Duration(min(seconds, longest)) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(0, date.Sub(now)), true
}
