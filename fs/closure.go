package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// A closure is an artifact and everything that it needs: its manifest, what that
// lists, all manifests of an index, and the subject, without which oras copies
// nothing that refers to one. It is what an OCI image layout of the artifact
// holds.
type closure struct {
	artifact *artifact
	members  []member // each once, documents before what they list
	places   map[digest.Digest]int
	// image is the one that a host would run: the artifact, or what its index has
	// for the platform; nil is none.
	image *resolver.Manifest
	// incomplete tells that a document isn't in the registry and is left out, as
	// the image specification allows: it may be there the next time.
	incomplete bool
}

// A member is a blob or a document, without what a manifest says of it.
type member struct {
	ocispec.Descriptor
	document bool // a manifest or an index
}

const (
	// maxMembers bounds a closure. An image for ten platforms has some hundred.
	maxMembers = 20_000
	// maxDocuments bounds its documents, each of which is a request.
	maxDocuments = 1_024
	// documentsAtOnce is how many are asked for at the same time.
	documentsAtOnce = 8

	maxClosures = 16
	// maxRememberedMembers is the size up to which a closure is kept: a larger one
	// is made anew of its documents, which the cache holds.
	maxRememberedMembers = 2_000
)

// closure is that of a manifest. It asks for documents, never for a blob.
func (r *repository) closure(ctx context.Context, d digest.Digest) (*closure, error) {
	key := r.reference(d.String())
	if c, ok := r.tree.closures.Get(key); ok {
		return c, nil
	}
	return ask(ctx, r.tree, "closure "+key, func(ctx context.Context) (*closure, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		w := &closureWalk{closure: &closure{artifact: a}, known: map[digest.Digest]bool{}, documents: map[digest.Digest]*resolver.Manifest{}}
		if err := w.walk(ctx, resolver.Subject(a.Manifest)); err != nil {
			return nil, fmt.Errorf("what belongs to %s: %w", key, err)
		}
		c := w.closure
		c.image = w.hostImage(a.Manifest)
		c.places = make(map[digest.Digest]int, len(c.members))
		for i, m := range c.members {
			c.places[m.Digest] = i
		}
		if len(c.members) <= maxRememberedMembers && !c.incomplete {
			r.tree.closures.Add(key, c)
		}
		return c, nil
	})
}

// A closureWalk makes a closure.
type closureWalk struct {
	*closure
	known     map[digest.Digest]bool // members, and what is left out
	documents map[digest.Digest]*resolver.Manifest
}

// walk adds a document and what it needs, breadth first.
func (w *closureWalk) walk(ctx context.Context, root ocispec.Descriptor) error {
	pending := []ocispec.Descriptor{root}
	w.known[root.Digest] = true
	for len(pending) > 0 {
		if len(w.documents)+len(pending) > maxDocuments {
			return fmt.Errorf("more than %d manifests: %w", maxDocuments, errdef.ErrSizeExceedsLimit)
		}
		manifests, err := w.fetch(ctx, pending)
		if err != nil {
			return err
		}
		pending = nil
		for _, m := range manifests {
			if m == nil {
				w.incomplete = true
				continue
			}
			w.documents[m.Digest] = m
			w.members = append(w.members, member{resolver.Subject(m), true})
			pending = append(pending, w.add(m)...)
			if len(w.members) > maxMembers {
				return fmt.Errorf("more than %d blobs: %w", maxMembers, errdef.ErrSizeExceedsLimit)
			}
		}
	}
	// Readers of a stream know what they want by the documents.
	slices.SortStableFunc(w.members, func(a, b member) int { return order(a) - order(b) })
	return nil
}

func order(m member) int {
	if m.document {
		return 0
	}
	return 1
}

// fetch reads documents. One that the registry doesn't have is nil.
func (w *closureWalk) fetch(ctx context.Context, list []ocispec.Descriptor) ([]*resolver.Manifest, error) {
	repo := w.artifact.repo
	manifests := make([]*resolver.Manifest, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(documentsAtOnce)
	for i, desc := range list {
		group.Go(func() error {
			m, err := repo.manifest(ctx, desc.Digest)
			if missing(err) && len(w.documents) > 0 {
				repo.tree.log.Warn("manifest left out of the layout", "reference", repo.reference(w.artifact.Digest.String()), "manifest", desc.Digest, "error", err)
				return nil
			}
			if err == nil && m.MediaType == "" {
				m.MediaType = desc.MediaType // of a kind that isn't known, out of the cache
			}
			manifests[i] = m
			return err
		})
	}
	return manifests, group.Wait()
}

// add adds the blobs that a manifest lists, and gives its documents. What isn't
// distributed with the image (image specification, "Non-distributable layers")
// is left out, as other clients do.
func (w *closureWalk) add(m *resolver.Manifest) (documents []ocispec.Descriptor) {
	var blobs []ocispec.Descriptor
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, desc := range m.Layers {
		if !resolver.IsForeign(desc.MediaType) {
			blobs = append(blobs, desc)
		}
	}
	for _, desc := range m.Manifests {
		if resolver.IsManifest(desc.MediaType) {
			documents = append(documents, desc)
		} else {
			blobs = append(blobs, desc) // BuildKit's cache lists layers
		}
	}
	if m.Subject != nil {
		documents = append(documents, *m.Subject)
	}
	isNew := func(desc ocispec.Descriptor) bool {
		before := w.known[desc.Digest]
		w.known[desc.Digest] = true
		return !before
	}
	for _, desc := range blobs {
		if isNew(desc) {
			w.members = append(w.members, member{Descriptor: plain(desc)})
		}
	}
	return slices.DeleteFunc(documents, func(desc ocispec.Descriptor) bool { return !isNew(desc) })
}

// hostImage is the image that a host would run of a manifest, if all of it is a
// member.
func (w *closureWalk) hostImage(m *resolver.Manifest) *resolver.Manifest {
	for range maxDocuments { // an index can't list itself, but may claim to
		if m == nil || !m.IsIndex() {
			break
		}
		i := host(m.Manifests, w.artifact.repo.tree.platform)
		if i < 0 {
			return nil
		}
		m = w.documents[m.Manifests[i].Digest]
	}
	foreign := func(desc ocispec.Descriptor) bool { return resolver.IsForeign(desc.MediaType) }
	if m == nil || !isImage(m) || slices.ContainsFunc(m.Layers, foreign) {
		return nil
	}
	return m
}

// manifest is a manifest without what its directory shows. One of a kind that
// isn't known lists nothing.
func (r *repository) manifest(ctx context.Context, d digest.Digest) (*resolver.Manifest, error) {
	content, mediaType, err := r.document(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := resolver.ParseManifest(d, mediaType, content)
	if errors.Is(err, errdef.ErrUnsupported) {
		return &resolver.Manifest{Digest: d, MediaType: mediaType, Size: int64(len(content))}, nil
	}
	if err != nil {
		return nil, err
	}
	r.meet(m)
	return m, nil
}

// find is the member with a digest.
func (c *closure) find(d digest.Digest) (member, bool) {
	i, ok := c.places[d]
	if !ok {
		return member{}, false
	}
	return c.members[i], true
}
