package resolver

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/golang-lru/v2"
)

const (
	// denialLasts is for how long a registry isn't asked again for what it has
	// just denied: who fails and tries again at once, over and over, makes one
	// request a second, and who pushes what wasn't there sees it after that.
	denialLasts = time.Second
	maxDenials  = 1024
)

// denials are the last answers 401, 403 and 404, each that of one question (a
// method, or GET of a range) and address once all credentials had been tried.
type denials struct {
	known *lru.Cache[string, denial]
	lasts time.Duration
}

type denial struct {
	resp  *http.Response // nil where there is an error
	body  []byte         // of resp
	err   error
	until time.Time
}

func newDenials() (*denials, error) {
	known, err := lru.New[string, denial](maxDenials)
	return &denials{known, denialLasts}, err
}

func denies(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
}

// remember keeps the outcome of a request where it is a denial.
func (d *denials) remember(question string, u *url.URL, resp *http.Response, err error) {
	denied := denial{err: err, until: time.Now().Add(d.lasts)}
	switch {
	case err != nil && denies(statusOf(err)):
	case err == nil && resp != nil && denies(resp.StatusCode):
		denied.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(denied.body))
		denied.resp = resp
	default:
		return
	}
	d.known.Add(question+" "+u.String(), denied)
}

// recall returns the outcome of the same request a moment ago.
func (d *denials) recall(question string, u *url.URL) (resp *http.Response, err error, ok bool) { //nolint:revive,staticcheck // the error is what is recalled
	denied, ok := d.known.Get(question + " " + u.String())
	if !ok || time.Now().After(denied.until) {
		return nil, nil, false
	}
	if denied.resp == nil {
		return nil, denied.err, true
	}
	again := *denied.resp
	again.Body = io.NopCloser(bytes.NewReader(denied.body))
	return &again, nil, true
}
