package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxRedirects is the length of the longest chain that is followed, as
// net/http's.
const maxRedirects = 10

// A metadataClient sends requests for documents and lists: it authenticates,
// follows redirects, retries, reads the answer whole, and ends in bounded
// time. It implements oras-go's remote.Client.
type metadataClient struct {
	auth  *auth.Client
	bound time.Duration // of all that one request needs: tokens, retries, redirects
}

func (r *Registry) newMetadataClient(limit int64) *metadataClient {
	transport := &wholeTransport{base: r.deadlines, limit: limit}
	return &metadataClient{bound: r.bound(), auth: r.newAuthClient(&http.Client{
		Transport:     r.retrying(transport),
		CheckRedirect: followRedirect,
	})}
}

func (r *Registry) newAuthClient(c *http.Client) *auth.Client {
	client := &auth.Client{Client: c, Credential: r.credentials.credential, Cache: r.tokens, ClientID: "orasfs"}
	client.SetUserAgent(r.userAgent)
	return client
}

// Do returns a successful answer or an error: one that wraps an
// *errcode.ErrorResponse for any other answer. The answer's body is in memory.
func (c *metadataClient) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.answer(req)
	if err == nil && resp.StatusCode/100 != 2 {
		return nil, statusError(resp)
	}
	return resp, err
}

// answer is what a registry answers, whatever its status.
func (c *metadataClient) answer(req *http.Request) (*http.Response, error) {
	ctx, cancel := withBound(req.Context(), c.bound)
	defer cancel()
	resp, err := c.auth.Do(req.WithContext(ctx))
	if err != nil {
		return nil, requestError(ctx, req, err)
	}
	return resp, nil
}

// An answerClient is for oras-go where it looks at the status itself: a registry
// that has no referrers API answers 404.
type answerClient struct{ *metadataClient }

// Do implements remote.Client.
func (c answerClient) Do(req *http.Request) (*http.Response, error) { return c.answer(req) }

// withBound ends an operation after d.
func withBound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timeoutError{text: fmt.Sprintf("not done within %s", d)})
}

// requestError says why a request had no answer.
func requestError(ctx context.Context, req *http.Request, err error) error {
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		denied := &errcode.ErrorResponse{Method: req.Method, URL: withoutQuery(req.URL), StatusCode: http.StatusUnauthorized}
		return fmt.Errorf("%w: %w", denied, err)
	}
	var failed *url.Error
	switch {
	case errors.Is(err, errdef.ErrSizeExceedsLimit) && errors.As(err, &failed):
		// A *url.Error is a net.Error: this isn't a failure of the network.
		err = fmt.Errorf("%s %q: %w", req.Method, withoutQuery(req.URL), failed.Err)
	case ctx.Err() != nil:
		err = fmt.Errorf("%s %q: %w", req.Method, withoutQuery(req.URL), timedOut(ctx, ctx.Err()))
	}
	return redact(err)
}

// followRedirect is an http.Client's CheckRedirect.
func followRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // the address it was redirected from may be signed
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return checkRedirect(via[len(via)-1].URL, req.URL)
}

// checkRedirect refuses targets that a registry has no business to name.
func checkRedirect(from, to *url.URL) error {
	switch {
	case to.Scheme != "https" && to.Scheme != "http":
		return fmt.Errorf("redirect to %q refused: neither http nor https", withoutQuery(to))
	case from.Scheme == "https" && to.Scheme == "http":
		return fmt.Errorf("redirect to %q refused: from https to http", withoutQuery(to))
	case to.User != nil:
		return fmt.Errorf("redirect to %q refused: it names a user", withoutQuery(to))
	}
	return nil
}

// sameOrigin tells whether two addresses have scheme, host and port in common
// (RFC 6454, section 5), which is how far a credential may go.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
