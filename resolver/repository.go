package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// A Repository is a client of one repository of a registry.
type Repository struct {
	registry *Registry
	name     string
}

// Name is the repository's name, without the registry.
func (r *Repository) Name() string { return r.name }

// String is HOST[:PORT]/NAME.
func (r *Repository) String() string { return r.registry.host + "/" + r.name }

// url is the address of an object of the repository.
func (r *Repository) url(kind, object string) *url.URL {
	return r.registry.origin.JoinPath(apiPath, r.name, kind, object)
}

// withScope says in the context which token a request needs, so that one that
// is there is used, and one that expired is replaced by its like.
func (r *Repository) withScope(ctx context.Context) context.Context {
	return auth.AppendRepositoryScope(ctx, registry.Reference{Registry: r.registry.host, Repository: r.registry.hosts.endpoint.scope(r.name)}, auth.ActionPull)
}

// acceptManifests is sent for every manifest: a registry answers 404, or
// converts, where it is asked for less.
var acceptManifests = strings.Join([]string{
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	mediaTypeDockerList,
	mediaTypeDockerManifest,
	mediaTypeArtifactManifest,
	"*/*;q=0.5", // what else there is: it is shown as a document
}, ", ")

// Resolve asks what a tag or a digest is. It sends HEAD, which Docker Hub
// doesn't count. Where that is refused, as far as that may be wrong, or doesn't
// tell the digest or the size it sends GET, and the descriptor's Data holds the
// content. A tag that
// isn't there is errdef.ErrNotFound, a reference that isn't one
// errdef.ErrInvalidReference.
func (r *Repository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	need := canPull
	if ValidTag(reference) {
		need |= canResolve
	}
	desc, err := askEach(ctx, r, need, func(ctx context.Context, at *Repository) (ocispec.Descriptor, error) {
		return at.resolve(ctx, reference)
	})
	r.note(reference, err)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve %s in %s: %w", reference, r, err)
	}
	return desc, nil
}

// resolve asks one host. A mirror is asked for a digest's content, which proves the
// size and the kind that it tells.
func (r *Repository) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	var want digest.Digest
	if !ValidTag(reference) {
		want = digest.Digest(reference)
		if err := checkDigest(want); err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
		}
	}
	manifestHeads, whole := r.registry.manifestHeads, r.name+" "+reference
	var refused error
	if byContent := want != "" && r.registry.hosts.endpoint.passed; !byContent && !manifestHeads.wrong() {
		resp, err := r.askManifest(ctx, http.MethodHead, reference)
		switch {
		case err == nil:
			resp.Body.Close()
			manifestHeads.right()
			desc, complete, err := describe(resp, want)
			if complete || err != nil {
				return desc, err
			}
		case r.registry.hosts.endpoint.passed || !manifestHeads.doubt(whole, err):
			return ocispec.Descriptor{}, err
		}
		refused = err
	}
	desc, err := r.resolveByContent(ctx, reference, want)
	if refused != nil {
		manifestHeads.settle(whole, refused, err)
	}
	return desc, err
}

// note remembers what the outcome of asking for a tag or a digest shows to be
// there.
func (r *Repository) note(reference string, err error) {
	switch {
	case err != nil:
		r.registry.met.deny(r.name, reference, err)
	case ValidTag(reference):
		r.registry.met.add(r.name, reference)
	default:
		r.registry.met.add(r.name, "")
	}
}

// describe makes a descriptor of the answer to HEAD. It isn't complete where
// the answer lacks what a descriptor needs.
func describe(resp *http.Response, want digest.Digest) (desc ocispec.Descriptor, complete bool, err error) {
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if checkDigest(d) != nil {
		d = want
	}
	if want != "" && d != want {
		return desc, false, fmt.Errorf("the registry answers with %s", d)
	}
	desc = ocispec.Descriptor{MediaType: mediaTypeOf(resp), Digest: d, Size: resp.ContentLength}
	return desc, d != "" && desc.Size > 0 && !saysGzip(resp), nil
}

// resolveByContent asks for the document itself.
func (r *Repository) resolveByContent(ctx context.Context, reference string, want digest.Digest) (ocispec.Descriptor, error) {
	resp, err := r.askManifest(ctx, http.MethodGet, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	told := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	switch {
	case want != "":
	case checkDigest(told) == nil:
		want = told
	default:
		want = digest.FromBytes(content)
	}
	if err := checkDocument(resp, content, want); err != nil {
		return ocispec.Descriptor{}, err
	}
	mediaType := DocumentType(content)
	if r.registry.hosts.endpoint.passed && kindOf(mediaType) == kindUnknown {
		return ocispec.Descriptor{}, fmt.Errorf("the mirror's answer is no manifest: %w", errdef.ErrUnsupported)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: want, Size: int64(len(content)), Data: content}, nil
}

// Manifest fetches a manifest or an index by its digest, at most MaxManifest
// bytes (more is errdef.ErrSizeExceedsLimit), and verifies it. An answer whose
// media type is that of another kind of document is an error, whatever the bytes:
// see [Contradiction].
func (r *Repository) Manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	content, err := askEach(ctx, r, canPull, func(ctx context.Context, at *Repository) ([]byte, error) {
		return at.manifest(ctx, d)
	})
	r.note(d.String(), err)
	if err != nil {
		return nil, fmt.Errorf("fetch manifest %s of %s: %w", d, r, err)
	}
	return content, nil
}

func (r *Repository) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	if err := checkDigest(d); err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	resp, err := r.askManifest(ctx, http.MethodGet, d.String())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return content, checkDocument(resp, content, d)
}

// checkDocument says why an answer's content isn't the document with that digest.
func checkDocument(resp *http.Response, content []byte, d digest.Digest) error {
	if err := verify(content, d); err != nil {
		return err
	}
	return Contradiction(mediaTypeOf(resp), content)
}

func (r *Repository) askManifest(ctx context.Context, method, reference string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.withScope(ctx), method, r.url("manifests", reference).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", acceptManifests)
	return r.registry.documents.Do(req)
}

// mediaTypeOf is the answer's media type without parameters, "" where there is
// none.
func mediaTypeOf(resp *http.Response) string {
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// errMismatch is that content isn't what was asked for.
var errMismatch = errors.New("content doesn't match its digest")

// verify compares content with its digest.
func verify(content []byte, d digest.Digest) error {
	if got := d.Algorithm().FromBytes(content); got != d {
		return fmt.Errorf("%w: it has %s", errMismatch, got)
	}
	return nil
}
