package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"oras.land/oras-go/v2/errdef"
)

// What is there is decided here, by evidence. A registry shows that something is
// there by giving it, and denies it by its answer to that one name alone: what a
// list leaves out, or that there is no list, says nothing. A pull-through cache
// lists what was pulled before, a token for one repository opens no catalog, and
// some registries have neither catalog nor tag lists, while everything in them can
// be pulled.
//
//	question                    it is there                        it isn't
//	a tag, a manifest, a blob   it is given (HEAD or GET)          404 of it
//	a name on a path            always: something below it may     never: no answer denies all that
//	                            be; nobody is asked                may be below
//	a name that is listed       what Kind says                     what Kind says
//	the names below a name      the catalog has them, or they      –
//	                            were met
//	the tags of a repository    the tag list has them, or they     the tag list is 404, and nothing
//	                            were met                           of the repository was met
//
// Only who lists asks for a list. Kind is asked then, and by a mount of that name:
//
//	met here, see met                                     repository
//	tag list: some                                        repository
//	          none          catalog: something below      namespace (olareg has no tags of any name)
//	                        else                          repository
//	          404, 400      catalog: something below      namespace
//	                        nothing                       none
//	                        no list to be had             unknown
//	          401, 403                                    unknown
//	          anything else                               unknown, with the error

// A Kind is what is at a name, as far as it can be told.
type Kind int

const (
	// KindNone is nothing that anybody knows of: the registry denies a repository
	// of that name, and lists none below. A repository below it may be there all
	// the same.
	KindNone Kind = iota
	// KindNamespace is the beginning of repositories' names, and no repository.
	KindNamespace
	// KindRepository is a repository. Others may lie below it.
	KindRepository
	// KindUnknown is what the registry doesn't tell. It may be a namespace, or a
	// repository that these credentials can't see.
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

// Kind tells what is at a name, by what was met there, else by the registry's list
// of its tags, and if it has none by the catalog. A name that no repository can
// have is KindNone, and nobody is asked. An error is why it is unknown.
func (r *Registry) Kind(ctx context.Context, name string) (Kind, error) {
	repo, err := r.Repository(name)
	switch {
	case err != nil:
		return KindNone, nil
	case r.met.repository(name):
		return KindRepository, nil
	}
	ctx, cancel := withBound(ctx, r.bound())
	defer cancel()
	kind, err := r.kind(ctx, repo)
	if err != nil {
		return KindUnknown, fmt.Errorf("look for %s: %w", repo, err)
	}
	return kind, nil
}

func (r *Registry) kind(ctx context.Context, repo *Repository) (Kind, error) {
	tagged := false
	err := repo.tags(ctx, 1, func(tags []string) error {
		tagged = len(tags) > 0
		return errEnough
	})
	switch {
	case tagged:
		r.met.add(repo.name, "")
		return KindRepository, nil
	case err == nil || errors.Is(err, errEnough):
		return r.kindByCatalog(ctx, repo.name, KindRepository, KindRepository)
	case hasStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return KindUnknown, nil
	// 400 is NAME_INVALID: some registries have no repository with so few
	// components.
	case hasStatus(err, http.StatusNotFound, http.StatusBadRequest):
		return r.kindByCatalog(ctx, repo.name, KindNone, KindUnknown)
	default:
		return KindUnknown, err
	}
}

// kindByCatalog is KindNamespace where the catalog lists something below name,
// none where it doesn't, and unknown where it can't be had.
func (r *Registry) kindByCatalog(ctx context.Context, name string, none, unknown Kind) (Kind, error) {
	if r.refused.holds() {
		return unknown, nil
	}
	below, err := r.children(ctx, name)
	switch {
	case errors.Is(err, errdef.ErrUnsupported):
		return unknown, nil
	case err != nil && ctx.Err() != nil:
		return KindUnknown, err
	case err != nil:
		r.log.Warn("the catalog can't be had: names are looked up one by one", "registry", r.host, "error", redact(err))
		return unknown, nil
	case below:
		return KindNamespace, nil
	default:
		return none, nil
	}
}
