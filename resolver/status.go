package resolver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxErrorBytes is how much of an error's body is read, as in oras-go: a
// typical one has 200 bytes.
const maxErrorBytes = 8 << 10

// statusError makes an error of an answer that isn't a success and closes its
// body. It wraps an *errcode.ErrorResponse, and errdef.ErrNotFound for 404.
func statusError(resp *http.Response) error {
	defer resp.Body.Close()
	e := &errcode.ErrorResponse{Method: resp.Request.Method, URL: withoutQuery(resp.Request.URL), StatusCode: resp.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxErrorBytes)).Decode(&body) == nil {
		e.Errors = body.Errors
		for i := range e.Errors {
			e.Errors[i].Detail = nil // of any shape and length
		}
	}
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %w", errdef.ErrNotFound, e)
	}
	if wait, ok := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		return fmt.Errorf("%w: it asks to wait for %s", e, wait.Round(time.Second))
	}
	return e
}

// hasStatus tells whether err is an answer with one of these statuses.
func hasStatus(err error, statuses ...int) bool {
	var e *errcode.ErrorResponse
	return errors.As(err, &e) && slices.Contains(statuses, e.StatusCode)
}

// withoutQuery returns a copy of u that may be shown: the query of an address
// that a registry redirects to is a credential, and so is the user of any.
func withoutQuery(u *url.URL) *url.URL {
	shown := *u
	shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment, shown.User = "", false, "", "", nil
	return &shown
}

// A redactedError reads as the error it wraps, without the queries of the
// addresses in its text. net/http and oras-go write them.
type redactedError struct{ err error }

var query = regexp.MustCompile(`\?[^\s"'<>]+`)

func (e *redactedError) Error() string { return query.ReplaceAllString(e.err.Error(), "") }

func (e *redactedError) Unwrap() error { return e.err }

func redact(err error) error {
	if err == nil {
		return nil
	}
	return &redactedError{err}
}
