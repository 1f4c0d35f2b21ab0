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

// repositories calls page with all that the registry lists.
func (r *Registry) repositories(ctx context.Context, last string, page func(names []string) error) error {
	seen := newPages()
	err := r.api.Repositories(ctx, last, func(names []string) error {
		r.refused.set(false)
		if err := seen.add(names); err != nil {
			return err
		}
		return page(names)
	})
	var refused *errcode.ErrorResponse
	if seen.count == 0 && errors.As(err, &refused) && hasStatus(err, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
		r.refused.set(true)
		return fmt.Errorf("no catalog: %w: %w", errdef.ErrUnsupported, redact(refused))
	}
	return redact(err)
}

// children tells whether a repository is listed whose name begins with
// name + "/". A registry that heeds last is asked once, however long its
// catalog is.
func (r *Registry) children(ctx context.Context, name string) (bool, error) {
	prefix := name + "/"
	found := false
	err := r.repositories(ctx, prefix, func(names []string) error {
		found = slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, prefix) })
		heeded := len(names) > 0 && !slices.ContainsFunc(names, func(s string) bool { return !follows(s, prefix) })
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

// follows tells whether a list that begins after last may hold name. Some
// registries sort by byte, some (distribution) by component, as if '/' came
// before all else.
func follows(name, last string) bool {
	return name > last || strings.ReplaceAll(name, "/", "\x00") > strings.ReplaceAll(last, "/", "\x00")
}

// refusalLasts is how long a registry without a catalog isn't asked for it
// again, but by who lists it.
const refusalLasts = 5 * time.Minute

// A refusal remembers that the catalog was refused.
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
