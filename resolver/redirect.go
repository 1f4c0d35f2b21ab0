package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// maxRedirects is the length of the longest chain that is followed, as
	// net/http's.
	maxRedirects = 10
	// maxTargets bounds the redirects that are remembered.
	maxTargets = 1024
)

// A blobRequest is what one attempt asks for.
type blobRequest struct {
	digest    digest.Digest
	byteRange string // of the header; "" is all
	anew      bool   // the registry is asked, wherever it redirected to last time
	turn      *turn  // nil where it takes no slot
}

// question is what is asked for, for who remembers a denial: that of a range is
// none of the whole.
func (b blobRequest) question() string {
	if b.byteRange != "" {
		return http.MethodGet + " Range"
	}
	return http.MethodGet
}

// askBlob asks once for a blob: where its registry redirected to last time, or
// the registry, following redirects. An answer that is no success and no 416 is
// an error, and so is what accept doesn't take; accept closes what it takes.
//
// A remembered target that fails, in whatever way, is forgotten, and the
// registry asked: it may know of a better one.
func (r *Repository) askBlob(ctx context.Context, b blobRequest, accept func(*http.Response) error) error {
	address := r.url("blobs", b.digest.String())
	began := time.Now()
	target, remembered := r.registry.targets.Get(address.Path)
	var failed error
	if remembered = remembered && !b.anew; remembered {
		resp, err := r.askStorage(ctx, target, b)
		if err == nil {
			err = taken(resp, accept)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = err
		r.registry.targets.Remove(address.Path)
		r.registry.log.Debug("where a blob was redirected to fails, the registry is asked", "repository", r.String(), "error", redact(err))
	}
	final, err := r.askAnew(ctx, address, b, accept)
	var f *failure
	if err == nil && remembered && !sameOrigin(target, final) && errors.As(failed, &f) && f.speaks() {
		f.host.gaveUp(began, f.err) // nobody tries it again
	}
	return err
}

// askAnew asks the registry, and remembers where it redirects to.
func (r *Repository) askAnew(ctx context.Context, address *url.URL, b blobRequest, accept func(*http.Response) error) (final *url.URL, err error) {
	if _, err, ok := r.registry.denials.recall(b.question(), address); ok { //nolint:bodyclose // there is none
		return nil, err
	}
	resp, err := r.follow(ctx, address, b)
	if err == nil {
		final = resp.Request.URL
		err = taken(resp, accept)
	}
	r.registry.denials.remember(b.question(), address, nil, err)
	if err == nil && !sameOrigin(final, r.registry.origin) {
		r.registry.targets.Add(address.Path, final)
	}
	return final, err
}

// forgetTarget makes the registry be asked next time.
func (r *Repository) forgetTarget(d digest.Digest) {
	r.registry.targets.Remove(r.url("blobs", d.String()).Path)
}

// taken gives a success to accept.
func taken(resp *http.Response, accept func(*http.Response) error) error {
	switch status := resp.StatusCode; {
	case status/100 == 2, status == http.StatusRequestedRangeNotSatisfiable:
	case refusesRange(status) && resp.Request.Header.Get("Range") != "":
		return &rangeError{statusError(resp)}
	default:
		return statusError(resp)
	}
	err := accept(resp)
	if err != nil {
		_ = resp.Body.Close()
	}
	return err
}

// follow asks the registry and follows where it redirects to, itself: within
// the registry's origin with its credentials, and from the first step outside
// of it on with none.
func (r *Repository) follow(ctx context.Context, address *url.URL, b blobRequest) (*http.Response, error) {
	ask := r.askRegistry
	for range maxRedirects + 1 {
		resp, err := ask(ctx, address, b)
		if err != nil || !isRedirect(resp.StatusCode) {
			return resp, err
		}
		_ = resp.Body.Close()
		target, err := resp.Location()
		if err != nil {
			return nil, fmt.Errorf("%s %q: redirect without a target: %w", http.MethodGet, withoutQuery(address), err)
		}
		if err := r.checkBlobRedirect(address, target); err != nil {
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

// checkBlobRedirect is checkRedirect for a blob. Where TLS proves nothing anyway, by
// Options.Insecure, it may go on without, as with oras: there is no credential on the
// way outside of the registry's origin.
func (r *Repository) checkBlobRedirect(from, to *url.URL) error {
	if r.registry.hosts.options.Insecure && to.Scheme == "http" {
		plain := *from
		plain.Scheme = to.Scheme
		from = &plain
	}
	return checkRedirect(from, to)
}

// askRegistry sends a request with the registry's credentials.
func (r *Repository) askRegistry(ctx context.Context, address *url.URL, b blobRequest) (*http.Response, error) {
	return b.send(r.withScope(ctx), r.registry.blobs.Do, address)
}

// askStorage sends a request with no credentials.
func (r *Repository) askStorage(ctx context.Context, address *url.URL, b blobRequest) (*http.Response, error) {
	return b.send(ctx, func(req *http.Request) (*http.Response, error) {
		req.Header.Set("User-Agent", r.registry.userAgent)
		return r.registry.storage.Do(req)
	}, address)
}

func (b blobRequest) send(ctx context.Context, do func(*http.Request) (*http.Response, error), address *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(withTurn(ctx, b.turn, address), http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, redact(err)
	}
	if b.byteRange != "" {
		req.Header.Set("Range", b.byteRange)
	}
	resp, err := do(req)
	if err != nil {
		return nil, requestError(ctx, req, err)
	}
	return resp, nil
}
