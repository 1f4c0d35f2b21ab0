package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/signed"
	"github.com/orasfs/orasfs/resolver"
)

// attached is what a repository has beside a manifest, for who verifies it. Nothing of it
// is shown.
type attached struct {
	repo    *repository
	subject ocispec.Descriptor
}

var _ signed.Attached = attached{}

// undecided marks an error that leaves open what the registry would have said.
func undecided(ctx context.Context, err error) error {
	if err != nil && (unreachable(err) || ctx.Err() != nil) {
		return fmt.Errorf("%w: %w", signed.ErrUndecided, err)
	}
	return err
}

// Reachable implements signed.Attached.
func (a attached) Reachable(ctx context.Context) error {
	if a.repo.local {
		return nil
	}
	_, err := a.repo.source.Resolve(ctx, a.subject.Digest.String())
	if err = undecided(ctx, err); errors.Is(err, signed.ErrUndecided) {
		return err
	}
	return nil // whatever it says, it is there
}

// Tagged implements signed.Attached.
func (a attached) Tagged(ctx context.Context, tag string) (digest.Digest, error) {
	desc, err := a.repo.source.Resolve(ctx, tag)
	if err == nil {
		a.repo.learn(desc.Digest)
	}
	return desc.Digest, undecided(ctx, err)
}

// Referrers implements signed.Attached.
func (a attached) Referrers(ctx context.Context) ([]ocispec.Descriptor, error) {
	found, err := a.repo.source.Referrers(ctx, a.subject, "")
	for _, desc := range found {
		a.repo.learn(desc.Digest)
	}
	return found, undecided(ctx, err)
}

// Layers implements signed.Attached.
func (a attached) Layers(ctx context.Context, d digest.Digest) ([]ocispec.Descriptor, digest.Digest, error) {
	m, err := a.repo.parsed(ctx, d)
	if err != nil {
		return nil, "", undecided(ctx, err)
	}
	return m.Layers, subjectOf(m), nil
}

// Blob implements signed.Attached.
func (a attached) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	content, err := a.repo.small(ctx, desc)
	return content, undecided(ctx, err)
}

// parsed is a manifest, whether or not it may be read.
func (r *repository) parsed(ctx context.Context, d digest.Digest) (*resolver.Manifest, error) {
	content, err := r.anyDocument(ctx, d)
	if err != nil {
		return nil, err
	}
	return resolver.ParseManifest(d, content)
}

func subjectOf(m *resolver.Manifest) digest.Digest {
	if m.Subject == nil {
		return ""
	}
	return m.Subject.Digest
}

// admitTag fails if a tag leads to what may be read only because it is attached to
// something signed: else whoever may push could attach anything, and have a tag show it.
// Tags that are for what is attached are left alone.
func (r *repository) admitTag(ctx context.Context, tag string, d digest.Digest) error {
	if r.tree.gate == nil {
		return nil
	}
	if subject, ok := attachedTag(tag); ok {
		r.vouching.attach(d, subject, true)
		return nil
	}
	if len(r.vouching.subjects(d)) == 0 {
		return nil
	}
	_, err := r.tree.gate.trusted(ctx, r, d)
	if signed.Denied(err) {
		err = &notSignedError{r.reference(tag), err}
	}
	return err
}

// attachedKinds end the tags of what cosign attaches.
var attachedKinds = []string{"sig", "att", "sbom"}

// attachedTag is the digest of a manifest for whose signatures, attestations, SBOMs or
// referrers a tag is (cosign 2, and the distribution specification's fallback).
func attachedTag(tag string) (digest.Digest, bool) {
	name, kind, dotted := strings.Cut(tag, ".")
	algorithm, encoded, ok := strings.Cut(name, "-")
	if !ok || dotted && !slices.Contains(attachedKinds, kind) {
		return "", false
	}
	d, err := parseDigest(algorithm + ":" + encoded)
	return d, err == nil
}
