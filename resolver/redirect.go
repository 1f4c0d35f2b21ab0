package resolver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
)

// askBlob sends a request for a blob to where its registry redirected to last
// time, or to the registry, following redirects. An answer that is no success
// and no 416 is an error.
//
// The time until there is an answer is bounded; the body that is left has the
// deadlines of its transport.
func (r *Repository) askBlob(ctx context.Context, method string, d digest.Digest, byteRange string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	bound := r.registry.bound()
	timer := time.AfterFunc(bound, func() { cancel(timeoutError{text: fmt.Sprintf("no answer within %s", bound)}) })
	resp, err := r.askTargetOrRegistry(ctx, method, r.url("blobs", d.String()), byteRange)
	timer.Stop()
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &cancelingBody{resp.Body, cancel}
	return resp, nil
}

// A cancelingBody ends its request when it is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Close implements io.Closer.
func (b *cancelingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

func (r *Repository) askTargetOrRegistry(ctx context.Context, method string, address *url.URL, byteRange string) (*http.Response, error) {
	targets := r.registry.targets
	if target, ok := targets.Get(address.Path); ok {
		resp, err := r.askStorage(ctx, method, target, byteRange)
		if err == nil && answered(resp) {
			return resp, nil
		}
		// It expired, or what it names is gone: the registry knows better.
		targets.Remove(address.Path)
		if err != nil {
			return nil, err
		}
		err = statusError(resp)
		if !hasStatus(err, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone) {
			return nil, err
		}
		r.registry.log.Debug("redirect expired", "repository", r.String(), "error", redact(err))
	}
	resp, err := r.follow(ctx, method, address, byteRange)
	if err != nil {
		return nil, err
	}
	if !answered(resp) {
		return nil, statusError(resp)
	}
	if final := resp.Request.URL; !sameOrigin(final, r.registry.origin) {
		targets.Add(address.Path, final)
	}
	return resp, nil
}

func answered(resp *http.Response) bool {
	return resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// follow asks the registry and follows where it redirects to, itself: within
// the registry's origin with its credentials, and from the first step outside
// of it on with none.
func (r *Repository) follow(ctx context.Context, method string, address *url.URL, byteRange string) (*http.Response, error) {
	ask := r.askRegistry
	for range maxRedirects + 1 {
		resp, err := ask(ctx, method, address, byteRange)
		if err != nil || !isRedirect(resp.StatusCode) {
			return resp, err
		}
		resp.Body.Close()
		target, err := resp.Location()
		if err != nil {
			return nil, fmt.Errorf("%s %q: redirect without a target: %w", method, withoutQuery(address), err)
		}
		if err := checkRedirect(address, target); err != nil {
			return nil, err
		}
		if !sameOrigin(target, r.registry.origin) {
			ask = r.askStorage
		}
		address = target
	}
	return nil, fmt.Errorf("stopped after %d redirects", maxRedirects)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// askRegistry sends a request with the registry's credentials.
func (r *Repository) askRegistry(ctx context.Context, method string, address *url.URL, byteRange string) (*http.Response, error) {
	return send(r.withScope(ctx), r.registry.blobs.Do, method, address, byteRange)
}

// askStorage sends a request with no credentials.
func (r *Repository) askStorage(ctx context.Context, method string, address *url.URL, byteRange string) (*http.Response, error) {
	return send(ctx, func(req *http.Request) (*http.Response, error) {
		req.Header.Set("User-Agent", r.registry.userAgent)
		return r.registry.storage.Do(req)
	}, method, address, byteRange)
}

func send(ctx context.Context, do func(*http.Request) (*http.Response, error), method string, address *url.URL, byteRange string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address.String(), nil)
	if err != nil {
		return nil, redact(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := do(req)
	if err != nil {
		return nil, requestError(ctx, req, err)
	}
	return resp, nil
}
