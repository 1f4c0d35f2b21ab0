package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// A metadataClient sends requests for documents and lists: it authenticates,
// follows redirects, retries, reads the answer whole, and ends in bounded
// time. It implements oras-go's remote.Client.
type metadataClient struct {
	registry *Registry
	auth     *auth.Client
	limit    int64         // bytes; a longer answer is errdef.ErrSizeExceedsLimit
	values   int           // of an answer, at most, by its commas; likewise
	bound    time.Duration // of all that one request needs: tokens, retries, redirects
}

func (r *Registry) newMetadataClient(limit int64, values int) *metadataClient {
	return &metadataClient{registry: r, limit: limit, values: values, bound: r.bound(), auth: r.newAuthClient(&http.Client{
		Transport:     r.hosts,
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

// answer is what a registry answers, whatever its status, unless that may pass.
func (c *metadataClient) answer(req *http.Request) (resp *http.Response, err error) {
	ctx, cancel := withBound(req.Context(), c.bound)
	defer cancel()
	if resp, err, ok := c.registry.denials.recall(req.Method, req.URL); ok {
		return resp, err
	}
	err = c.registry.try(ctx, func() error {
		resp, err = c.once(ctx, req) //nolint:bodyclose // it is in memory
		return err
	})
	c.registry.denials.remember(req.Method, req.URL, resp, err)
	return resp, err
}

func (c *metadataClient) once(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Do(req.WithContext(ctx))
	switch {
	case err != nil:
		return nil, requestError(ctx, req, err)
	case resp.StatusCode == http.StatusInternalServerError && req.Method == http.MethodHead:
		return resp, nil // GET is the better second attempt
	case passing(resp.StatusCode):
		return nil, statusError(resp)
	case req.Method == http.MethodHead:
		return resp, nil
	}
	if err := readWhole(resp, c.limit, c.values); err != nil {
		return nil, fmt.Errorf("%s %q: %w", req.Method, withoutQuery(req.URL), err)
	}
	return resp, nil
}

// maxElements bounds the values of a document or a list by the commas between
// them: a million of the shortest need some 20 MiB once they are decoded.
const maxElements = 1 << 20

// readWhole brings an answer's body into memory, within the attempt, so that one
// that breaks off is retried as any other failure.
func readWhole(resp *http.Response, limit int64, values int) error {
	defer resp.Body.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(io.LimitReader(resp.Body, limit+1)); err != nil {
		return err
	}
	if int64(content.Len()) > limit || bytes.Count(content.Bytes(), []byte(",")) > values {
		return fmt.Errorf("the answer has more than %d bytes or %d values: %w", limit, values, errdef.ErrSizeExceedsLimit)
	}
	resp.Body = io.NopCloser(&content)
	resp.ContentLength = int64(content.Len())
	return nil
}

// An answerClient is for oras-go where it looks at the status itself: a registry
// that has no referrers API answers 404.
type answerClient struct{ *metadataClient }

// Do implements remote.Client.
func (c answerClient) Do(req *http.Request) (*http.Response, error) { return c.answer(req) }

// requestError says why a request had no answer.
func requestError(ctx context.Context, req *http.Request, err error) error {
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		denied := &errcode.ErrorResponse{Method: req.Method, URL: withoutQuery(req.URL), StatusCode: http.StatusUnauthorized}
		return fmt.Errorf("%w: %w", denied, err)
	}
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		harmlessAnswer(answer) // a token service's
	}
	if ctx.Err() != nil && !errors.As(err, new(*failure)) {
		err = fmt.Errorf("%s %q: %w", req.Method, withoutQuery(req.URL), timedOut(ctx, ctx.Err()))
	}
	return redact(err)
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
