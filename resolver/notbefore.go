package resolver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxHold is the longest that a Retry-After is kept: a mistaken header must not
// end a mount.
const maxHold = 5 * time.Minute

// everything is what an answer is about that is Unavailable.
const everything = ""

// A hold is that a host isn't asked before some time, because it said so. It is
// the error of who would have to wait for too long.
type hold struct {
	until time.Time
	err   error // the answer
}

func (h *hold) Error() string {
	return fmt.Sprintf("%s: not asked again before %s", h.err, h.until.Format(time.TimeOnly))
}

func (h *hold) Unwrap() error { return h.err }

// limitedAs is what registries count a request as. Those that count manifests
// don't count HEAD.
func limitedAs(req *http.Request) string {
	for _, part := range []string{"/blobs/", "/manifests/", "/tags/list", "/referrers/", "/_catalog"} {
		if !strings.Contains(req.URL.Path, part) {
			continue
		}
		if part == "/manifests/" {
			return req.Method + part
		}
		return part
	}
	return "other"
}

// heed keeps what an answer says about the next request: 503 and its like are about
// the whole host, 429 about requests of this kind.
func (h *host) heed(resp *http.Response) {
	limited := everything
	switch {
	case Unavailable(resp.StatusCode):
	case resp.StatusCode == http.StatusTooManyRequests:
		limited = limitedAs(resp.Request)
	default:
		return
	}
	now := time.Now()
	wait, ok := parseRetryAfter(resp.Header.Get("Retry-After"), now)
	if !ok || wait == 0 {
		return
	}
	answer := &errcode.ErrorResponse{Method: resp.Request.Method, URL: withoutQuery(resp.Request.URL), StatusCode: resp.StatusCode}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds[limited] = hold{until: now.Add(min(wait, maxHold)), err: &waitError{answer, wait}}
}

// held is the hold that forbids a request of that kind. h.mu is held.
func (h *host) held(limited string) *hold {
	var longest *hold
	for _, key := range []string{everything, limited} {
		held, ok := h.holds[key]
		if ok && time.Now().Before(held.until) && (longest == nil || held.until.After(longest.until)) {
			longest = &held
		}
	}
	return longest
}

// A waitError is an answer that says for how long to leave the host alone.
type waitError struct {
	answer error
	wait   time.Duration
}

func (e *waitError) Error() string {
	return fmt.Sprintf("%s: it asks to wait for %s", e.answer, e.wait.Round(time.Second))
}

func (e *waitError) Unwrap() error { return e.answer }

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
