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
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
		harmlessAnswer(e)
	}
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %w", errdef.ErrNotFound, e)
	}
	if wait, ok := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		return &waitError{e, wait}
	}
	return e
}

// hasStatus tells whether err is an answer with one of these statuses.
func hasStatus(err error, statuses ...int) bool {
	return slices.Contains(statuses, statusOf(err))
}

// statusOf is the status of an answer, 0 for other errors.
func statusOf(err error) int {
	var e *errcode.ErrorResponse
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// withoutQuery returns a copy of u that may be shown: the query of an address
// that a registry redirects to is a credential, and so is the user of any.
func withoutQuery(u *url.URL) *url.URL {
	shown := *u
	shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment, shown.User = "", false, "", "", nil
	return &shown
}

// A redactedError reads as the error it wraps, without the queries of the
// addresses in its text, which net/http and oras-go write, and without what a
// terminal obeys.
type redactedError struct{ err error }

var query = regexp.MustCompile(`\?[^\s"'<>]+`)

func (e *redactedError) Error() string {
	return harmless(query.ReplaceAllString(e.err.Error(), ""))
}

func (e *redactedError) Unwrap() error { return e.err }

func redact(err error) error {
	if err == nil {
		return nil
	}
	return &redactedError{err}
}

// harmlessAnswer does so for what a registry says in its own words.
func harmlessAnswer(e *errcode.ErrorResponse) {
	for i := range e.Errors {
		e.Errors[i].Code, e.Errors[i].Message = harmless(e.Errors[i].Code), harmless(e.Errors[i].Message)
	}
}

// harmless writes control characters, escape sequences with them, as Go does.
func harmless(s string) string {
	graphic := func(r rune) bool { return strconv.IsGraphic(r) && r != utf8.RuneError }
	if !strings.ContainsFunc(s, func(r rune) bool { return !graphic(r) }) {
		return s
	}
	var shown strings.Builder
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		if graphic(r) {
			shown.WriteRune(r)
		} else {
			shown.WriteString(strings.Trim(strconv.QuoteToGraphic(s[i:i+size]), `"`))
		}
	}
	return shown.String()
}
