package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"oras.land/oras-go/v2/errdef"
)

// A Kind is what is at a name.
type Kind int

const (
	// KindNone is nothing: no repository has that name or lies below it.
	KindNone Kind = iota
	// KindNamespace is the beginning of repositories' names, and no repository.
	KindNamespace
	// KindRepository is a repository. Others may lie below it.
	KindRepository
	// KindUnknown is what the registry doesn't tell: it lists no tags there
	// and has no catalog. It may be a namespace, or a repository that these
	// credentials can't see.
	KindUnknown
)

// String is for logs and tests.
func (k Kind) String() string {
	switch k {
	case KindNone:
		return "none"
	case KindNamespace:
		return "namespace"
	case KindRepository:
		return "repository"
	default:
		return "unknown"
	}
}

// Probe asks what is at a name: first for its tags, then, if it has none, for
// the catalog. A name that no repository can have is KindNone, and nobody is
// asked.
//
// Where the registry lists no tags but doesn't say that the name is unknown, it
// is a repository without tags, or one that answers so for any name (olareg):
// it is KindNamespace where the catalog lists something below the name, and
// KindRepository else.
func (r *Registry) Probe(ctx context.Context, name string) (Kind, error) {
	repo, err := r.Repository(name)
	if err != nil {
		return KindNone, nil
	}
	ctx, cancel := withBound(ctx, r.bound())
	defer cancel()
	kind, err := r.probe(ctx, repo)
	if err != nil {
		return KindUnknown, fmt.Errorf("look for %s: %w", repo, err)
	}
	return kind, nil
}

func (r *Registry) probe(ctx context.Context, repo *Repository) (Kind, error) {
	tagged := false
	err := repo.tags(ctx, 1, func(tags []string) error {
		tagged = len(tags) > 0
		return errEnough
	})
	switch {
	case tagged:
		return KindRepository, nil
	case err == nil || errors.Is(err, errEnough):
		return r.probeCatalog(ctx, repo.name, KindRepository, KindRepository)
	case hasStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return KindUnknown, nil
	// 400 is NAME_INVALID: some registries have no repository with so few
	// components.
	case hasStatus(err, http.StatusNotFound, http.StatusBadRequest):
		return r.probeCatalog(ctx, repo.name, KindNone, KindUnknown)
	default:
		return KindUnknown, err
	}
}

// probeCatalog is KindNamespace where the catalog lists something below name,
// none where it doesn't, and unknown where there is no catalog.
func (r *Registry) probeCatalog(ctx context.Context, name string, none, unknown Kind) (Kind, error) {
	if r.refused.holds() {
		return unknown, nil
	}
	below, err := r.children(ctx, name)
	switch {
	case errors.Is(err, errdef.ErrUnsupported):
		return unknown, nil
	case err != nil:
		return KindUnknown, err
	case below:
		return KindNamespace, nil
	default:
		return none, nil
	}
}
