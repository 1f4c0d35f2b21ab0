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
	err := r.tags(ctx, pageSize, func(tags []string) error {
		return page(slices.DeleteFunc(tags, func(tag string) bool { return !ValidTag(tag) }))
	})
	if err != nil {
		return fmt.Errorf("list tags of %s: %w", r, err)
	}
	return nil
}

// tags calls page with all that the registry lists, n per page.
func (r *Repository) tags(ctx context.Context, n int, page func(tags []string) error) error {
	api := &remote.Repository{
		Client:           r.registry.listings,
		Reference:        registry.Reference{Registry: r.registry.host, Repository: r.name},
		PlainHTTP:        r.registry.api.PlainHTTP,
		TagListPageSize:  n,
		MaxMetadataBytes: maxPage,
	}
	seen := newPages()
	return redact(api.Tags(ctx, "", func(tags []string) error {
		if err := seen.add(tags); err != nil {
			return err
		}
		return page(tags)
	}))
}
