package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Repositories lists the registry's repositories, those after last unless that
// is empty: page is called with the names of each page, without what is no
// repository's name. The whole list is never held.
//
// Where the registry has no catalog or refuses it, as Docker Hub and GHCR do,
// the error is errdef.ErrUnsupported.
func (r *Registry) Repositories(ctx context.Context, last string, page func(names []string) error) error {
	err := r.repositories(ctx, last, func(names []string) error {
		return page(slices.DeleteFunc(names, func(name string) bool { return checkName(name) != nil }))
	})
	if err != nil {
		return fmt.Errorf("list repositories of %s: %w", r.host, err)
	}
	return nil
}

// repositories calls page with all that the registry lists. A registry that takes
// no page of that size (distribution with catalog.maxentries answers 400) is asked
// once more for one of its own.
func (r *Registry) repositories(ctx context.Context, last string, page func(names []string) error) error {
	began, err := r.catalog(ctx, last, pageSize, page)
	if !began && refusesSize(err) {
		began, err = r.catalog(ctx, last, 0, page)
	}
	var answer *errcode.ErrorResponse
	switch {
	case began || err == nil || ctx.Err() != nil:
		return redact(err)
	case errors.As(err, &answer) && hasStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusNotImplemented):
		err = fmt.Errorf("no catalog: %w: %w", errdef.ErrUnsupported, redact(answer)) // 404 is not that something isn't there
	}
	var f *failure
	if !errors.As(err, &f) || errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*downError)) {
		r.refused.set(true) // the catalog, and not the registry, is what can't be had
	}
	return redact(err)
}

// catalog asks for the catalog, n names per page, or as many as the registry likes
// where n is 0; began is that the first page came.
func (r *Registry) catalog(ctx context.Context, last string, n int, page func(names []string) error) (began bool, err error) {
	at := r.mirrors.server()
	api, err := remote.NewRegistry(at.host)
	if err != nil {
		return false, err
	}
	api.Client, api.PlainHTTP = at.listings, at.plain()
	api.RepositoryListPageSize, api.MaxMetadataBytes = n, maxPage
	seen := newPages()
	err = api.Repositories(ctx, last, func(names []string) error {
		began = true
		r.refused.set(false)
		if err := seen.add(names); err != nil {
			return err
		}
		return page(names)
	})
	return began, err
}

// children tells whether a repository is listed whose name begins with
// name + "/". A registry that heeds last is asked once, however long its
// catalog is.
func (r *Registry) children(ctx context.Context, name string) (bool, error) {
	prefix := name + "/"
	found := false
	err := r.repositories(ctx, prefix, func(names []string) error {
		found = slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, prefix) })
		heeded := len(names) > 0 && InOrder(names) && !slices.ContainsFunc(names, func(s string) bool { return !follows(s, prefix) })
		if found || heeded {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	return found, nil
}

// errEnough ends a list whose rest isn't needed.
var errEnough = errors.New("enough")

// refusalLasts is how long a registry whose catalog couldn't be had isn't asked for
// it again, but by who lists it.
const refusalLasts = 5 * time.Minute

// A refusal remembers that the catalog couldn't be had.
type refusal struct {
	mu    sync.Mutex // guards until
	until time.Time
}

func (r *refusal) set(refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Time{}
	if refused {
		r.until = time.Now().Add(refusalLasts)
	}
}

func (r *refusal) holds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until)
}
