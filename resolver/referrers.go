package resolver

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// maxReferrers bounds the referrers of one manifest that are listed.
const maxReferrers = 10_000

// Subject is the descriptor of a manifest, as what refers to it names it.
func Subject(m *Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
}

// Referrers lists what refers to a manifest, of one artifact type or, where
// that is "", of any: from the registry's referrers API, or, where it has none,
// from the tag that takes its place (distribution specification, "Listing
// Referrers"). There may be none. More than 10,000 are
// errdef.ErrSizeExceedsLimit.
func (r *Repository) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	ctx, cancel := withBound(ctx, r.registry.bound())
	defer cancel()
	api := &remote.Repository{
		Client:           answerClient{r.registry.listings},
		Reference:        registry.Reference{Registry: r.registry.host, Repository: r.name},
		PlainHTTP:        r.registry.api.PlainHTTP,
		MaxMetadataBytes: maxPage,
	}
	var found []ocispec.Descriptor
	err := api.Referrers(ctx, subject, artifactType, func(page []ocispec.Descriptor) error {
		for _, desc := range page {
			if checkDigest(desc.Digest) != nil || desc.Size < 0 {
				continue
			}
			if len(found) == maxReferrers {
				return fmt.Errorf("more than %d: %w", maxReferrers, errdef.ErrSizeExceedsLimit)
			}
			found = append(found, desc)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s in %s: %w", subject.Digest, r, redact(err))
	}
	return found, nil
}
