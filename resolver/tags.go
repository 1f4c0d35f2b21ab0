package resolver

import (
	"context"
	"fmt"
	"slices"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Tags lists the repository's tags: page is called with those of each page,
// without what is no valid tag. The whole list is never held. A repository
// that isn't there is errdef.ErrNotFound.
func (r *Repository) Tags(ctx context.Context, page func(tags []string) error) error {
	var once unique
	err := r.tags(ctx, pageSize, func(tags []string) error {
		return page(once.next(slices.DeleteFunc(tags, func(tag string) bool { return !ValidTag(tag) })))
	})
	if err != nil {
		return fmt.Errorf("list tags of %s: %w", r, err)
	}
	return nil
}

// tags calls page with all that the registry lists, n per page, or as many as the
// registry likes where it refuses that.
func (r *Repository) tags(ctx context.Context, n int, page func(tags []string) error) error {
	began, err := r.tagList(ctx, n, page)
	if !began && n > 1 && refusesSize(err) {
		_, err = r.tagList(ctx, 0, page)
	}
	return redact(err)
}

// tagList asks for the list; began is that the first page came.
func (r *Repository) tagList(ctx context.Context, n int, page func(tags []string) error) (began bool, err error) {
	at := r.registry.mirrors.server()
	api := &remote.Repository{
		Client:           at.listings,
		Reference:        registry.Reference{Registry: at.host, Repository: r.name},
		PlainHTTP:        at.plain(),
		TagListPageSize:  n,
		MaxMetadataBytes: maxPage,
	}
	seen := newPages()
	err = api.Tags(ctx, "", func(tags []string) error {
		began = true
		if err := seen.add(tags); err != nil {
			return err
		}
		if len(tags) > 0 {
			r.registry.met.add(r.name, "")
		}
		return page(tags)
	})
	return began, err
}
