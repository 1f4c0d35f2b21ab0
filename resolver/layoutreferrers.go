package resolver

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Bounds of what is read to find the referrers of a layout.
const (
	maxLayoutManifests = 10_000
	maxLayoutRead      = 64 << 20 // bytes of all manifests together
	maxLayoutDepth     = 8        // of indexes in indexes; real ones have two
	maxLayoutKept      = 1 << 20  // bytes of annotations and types that are kept of them
	maxMediaType       = 255      // bytes; RFC 6838, section 4.2, has 127 on each side of the slash
)

// referrersBySubject are the manifests of a layout that have a subject, as the
// referrers API describes them.
type referrersBySubject map[digest.Digest][]ocispec.Descriptor

// Referrers lists what refers to a manifest, of one artifact type or, where
// that is "", of any: manifests that index.json leads to, also through further
// indexes, and what the tag lists that takes the place of the referrers API
// (distribution specification, "Referrers Tag Schema"). A manifest that can't
// be read is left out. A layout with more than 10,000 manifests, or with more
// than 64 MiB of them, is errdef.ErrSizeExceedsLimit.
func (l *Layout) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	all, err := l.referrers(ctx, subject.Digest)
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s in %s: %w", subject.Digest, l.path, err)
	}
	var found []ocispec.Descriptor
	for _, desc := range all {
		if artifactType == "" || desc.ArtifactType == artifactType {
			desc.Annotations = maps.Clone(desc.Annotations) // those are kept
			found = append(found, desc)
		}
	}
	return found, nil
}

func (l *Layout) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	if err := checkDigest(subject); err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	index, err := l.index(ctx)
	if err != nil {
		return nil, err
	}
	known, err := l.subjects(ctx, index)
	if err != nil {
		return nil, err
	}
	tagged, err := l.taggedReferrers(ctx, index, subject)
	if err != nil {
		return nil, err
	}
	var all []ocispec.Descriptor
	seen := make(map[digest.Digest]bool)
	for _, list := range [][]ocispec.Descriptor{known[subject], tagged} {
		for _, desc := range list {
			if !seen[desc.Digest] {
				seen[desc.Digest] = true
				all = append(all, desc)
			}
		}
	}
	if len(all) > maxReferrers {
		return nil, fmt.Errorf("more than %d: %w", maxReferrers, errdef.ErrSizeExceedsLimit)
	}
	return all, nil
}

// taggedReferrers are those that the subject's tag lists. The tag may be
// anything else.
func (l *Layout) taggedReferrers(ctx context.Context, index *layoutIndex, subject digest.Digest) ([]ocispec.Descriptor, error) {
	desc, ok := index.tags[fmt.Sprintf("%.32s-%.64s", subject.Algorithm(), subject.Encoded())]
	if !ok || kindOf(desc.MediaType) != kindIndex {
		return nil, nil
	}
	m, err := l.parse(ctx, desc)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		l.log.Warn("tag of referrers left out", "layout", l.path, "subject", subject, "error", err)
		return nil, nil
	}
	return m.Manifests, nil
}

// parse reads a manifest that a descriptor of the layout names.
func (l *Layout) parse(ctx context.Context, desc ocispec.Descriptor) (*Manifest, error) {
	content, err := l.document(ctx, desc.Digest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	return ParseManifest(desc.Digest, content)
}

// subjects returns the referrers of all manifests. They are found once for each
// content of index.json: what it leads to is named by digest and doesn't
// change. One at a time looks for them, so that one reads.
func (l *Layout) subjects(ctx context.Context, index *layoutIndex) (referrersBySubject, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if known := index.referrers.Load(); known != nil {
		return *known, nil
	}
	w := &subjectWalk{layout: l, seen: make(map[digest.Digest]bool), found: make(referrersBySubject)}
	if err := w.walk(ctx, index.manifests); err != nil {
		return nil, err
	}
	if w.broken > 0 {
		l.log.Warn("manifests that can't be read: their subjects are unknown", "layout", l.path, "manifests", w.broken, "error", w.err)
	}
	if !w.unsure {
		index.referrers.Store(&w.found)
	}
	return w.found, nil
}

// A subjectWalk reads the manifests of a layout for their subjects.
type subjectWalk struct {
	layout *Layout
	seen   map[digest.Digest]bool
	read   int64 // bytes
	kept   int   // bytes of what is found
	found  referrersBySubject
	broken int   // manifests
	err    error // of the last that is broken
	unsure bool  // one of them may be right when it is read again
}

// walk goes from index to index, those of one depth at a time.
func (w *subjectWalk) walk(ctx context.Context, manifests []ocispec.Descriptor) error {
	level, err := w.unseen(manifests)
	if err != nil {
		return err
	}
	for range maxLayoutDepth {
		var below []ocispec.Descriptor
		for _, desc := range level {
			listed, err := w.visit(ctx, desc)
			if err != nil {
				return err
			}
			further, err := w.unseen(listed)
			if err != nil {
				return err
			}
			below = append(below, further...)
		}
		level = below
	}
	if len(level) > 0 {
		w.broken += len(level)
		w.err = fmt.Errorf("manifest %s: indexes are nested deeper than %d", level[0].Digest, maxLayoutDepth)
	}
	return nil
}

// unseen are those of the descriptors that are manifests and weren't met
// before.
func (w *subjectWalk) unseen(descriptors []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var unseen []ocispec.Descriptor
	for _, desc := range descriptors {
		if w.seen[desc.Digest] || kindOf(desc.MediaType) == kindUnknown {
			continue
		}
		if len(w.seen) == maxLayoutManifests {
			return nil, fmt.Errorf("more than %d manifests: %w", maxLayoutManifests, errdef.ErrSizeExceedsLimit)
		}
		w.seen[desc.Digest] = true
		unseen = append(unseen, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest})
	}
	return unseen, nil
}

// visit notes a manifest's subject and returns what it lists.
func (w *subjectWalk) visit(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	content, err := w.layout.document(ctx, desc.Digest)
	if w.read += int64(len(content)); w.read > maxLayoutRead { // whatever it is
		return nil, fmt.Errorf("more than %d bytes of manifests: %w", maxLayoutRead, errdef.ErrSizeExceedsLimit)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errdef.ErrNotFound):
		return nil, nil // an index lists platforms that weren't copied
	case err != nil:
		w.unsure = !errors.Is(err, errdef.ErrSizeExceedsLimit) || w.unsure
		w.skip(desc, err)
		return nil, nil
	}
	m, err := ParseManifest(desc.Digest, content)
	if err != nil {
		w.skip(desc, err)
		return nil, nil
	}
	if m.Subject != nil {
		w.note(m)
	}
	return m.Manifests, nil
}

// skip leaves a manifest out.
func (w *subjectWalk) skip(desc ocispec.Descriptor, err error) {
	w.broken++
	w.err = fmt.Errorf("manifest %s: %w", desc.Digest, err)
}

// note keeps what the referrers API would say of a manifest; without its
// annotations, which are in it, once there are many.
func (w *subjectWalk) note(m *Manifest) {
	desc := Subject(m)
	if len(m.ArtifactType) > maxMediaType {
		w.skip(desc, fmt.Errorf("its artifact type has %d bytes: %w", len(m.ArtifactType), errdef.ErrSizeExceedsLimit))
		return
	}
	desc.ArtifactType = m.ArtifactType
	size := len(m.ArtifactType) + len(m.MediaType)
	for key, value := range m.Annotations {
		size += len(key) + len(value)
	}
	if w.kept+size <= maxLayoutKept {
		desc.Annotations = m.Annotations
		w.kept += size
	}
	w.found[m.Subject.Digest] = append(w.found[m.Subject.Digest], desc)
}
