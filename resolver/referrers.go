package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Bounds of the referrers of one manifest that are listed.
const (
	maxReferrers     = 10_000
	maxReferrerPages = 1_000 // empty ones too, of which nothing else ends a list
)

// Subject is the descriptor of a manifest, as what refers to it names it.
func Subject(m *Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
}

// Referrers lists what refers to a manifest, of one artifact type or, where
// that is "", of any: from the registry's referrers API, or, where it has none,
// from the tag that takes its place (distribution specification, "Listing
// Referrers"). There may be none. More than 10,000 are
// errdef.ErrSizeExceedsLimit, more than 1,000 pages errdef.ErrTooManyPages.
//
// A registry without the API should answer 404. Some refuse the request instead
// (Harbor before 2.11 with UNAUTHORIZED): then the tag is asked as well, and one
// line in the log for the registry says so.
func (r *Repository) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	found, err := askEach(ctx, r, canReferrers, func(ctx context.Context, at *Repository) ([]ocispec.Descriptor, error) {
		return at.referrersOrTag(ctx, subject, artifactType)
	})
	if errors.Is(err, errNobody) {
		found, err = askEach(ctx, r, canPull|canResolve, func(ctx context.Context, at *Repository) ([]ocispec.Descriptor, error) {
			return at.referrers(ctx, subject, artifactType, new(false))
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s in %s: %w", subject.Digest, r, redact(err))
	}
	return found, nil
}

// errNoReferrers is that a mirror knows of none: the registry may.
var errNoReferrers = fmt.Errorf("the mirror knows of no referrer: %w", errdef.ErrNotFound)

// referrersOrTag asks one host. A mirror is asked for no tag in the API's place: the
// registry has it too, or the API.
func (r *Repository) referrersOrTag(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	if r.registry.hosts.endpoint.passed {
		found, err := r.referrers(ctx, subject, artifactType, new(true))
		if err == nil && len(found) == 0 {
			err = errNoReferrers
		}
		return found, err
	}
	found, err := r.referrers(ctx, subject, artifactType, nil)
	if !refused(err) || len(found) > 0 {
		return found, err
	}
	if !r.registry.noReferrersAPI.Swap(true) {
		r.registry.log.Warn("the referrers API is refused, the tag takes its place", "registry", r.registry.host, "error", redact(err))
	}
	return r.referrers(ctx, subject, artifactType, new(false))
}

// referrers asks the API if byAPI is true, for the tag if it is false, and if it is
// nil first the one and then the other.
func (r *Repository) referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string, byAPI *bool) (found []ocispec.Descriptor, err error) {
	api := &remote.Repository{
		Client:           answerClient{r.registry.listings},
		Reference:        registry.Reference{Registry: r.registry.host, Repository: r.name},
		PlainHTTP:        r.registry.plain(),
		MaxMetadataBytes: maxPage,

		ReferrerListMaxPages: maxReferrerPages,
	}
	if byAPI != nil {
		if err := api.SetReferrersCapability(*byAPI); err != nil {
			return nil, err
		}
	}
	seen := newPages()
	err = api.Referrers(ctx, subject, artifactType, func(page []ocispec.Descriptor) error {
		if err := seen.add(digestsOf(page)); err != nil {
			return err
		}
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
	return found, err
}

func digestsOf(page []ocispec.Descriptor) []string {
	names := make([]string, len(page))
	for i, desc := range page {
		names[i] = desc.Digest.String()
	}
	return names
}

// refused tells whether the referrers API was understood to be asked, and won't
// answer, now or later. A token service that refuses says nothing of it.
func refused(err error) bool {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) || answer.URL == nil || !strings.Contains(answer.URL.Path, "/referrers/") {
		return false
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusNotImplemented:
		return true
	}
	return answer.StatusCode/100 == 4
}
