package fs

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// A closure is an artifact and everything that it needs: its manifest, what that
// lists, all manifests of an index, and the subject, without which oras copies
// nothing that refers to one. It is what an OCI image layout of the artifact
// holds.
type closure struct {
	files   []layoutFile // those beside the blobs
	members []member     // each once, documents before what they list
	places  map[digest.Digest]int
	created time.Time // of the artifact
	// until is when it is asked for again, because a document isn't in the
	// registry and is left out, as the image specification allows: it may be
	// there the next time. It is zero where nothing is left out.
	until time.Time
}

// A member is a blob or a document, without what a manifest says of it.
type member struct {
	digest    digest.Digest
	size      int64
	mediaType string
	data      []byte // where it is in the manifest that lists it
	document  bool   // a manifest or an index
}

// descriptor is that of a member.
func (m member) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.mediaType, Digest: m.digest, Size: m.size, Data: m.data}
}

const (
	// maxMembers bounds a closure. An image for ten platforms has some hundred.
	maxMembers = 20_000
	// maxDocuments and maxDocumentBytes bound its documents, each of which is a
	// request and is held while the closure is made.
	maxDocuments     = 1_024
	maxDocumentBytes = 64 << 20
	// maxMemberData is up to which size a member's data is kept: that is for an
	// empty config, which a registry may not have.
	maxMemberData = 4 << 10
	// documentsAtOnce is how many are asked for at the same time.
	documentsAtOnce = 8

	maxClosures = 8 // of some 4 MiB at most
)

// closure is that of a manifest. It asks for documents, never for a blob.
func (r *repository) closure(ctx context.Context, d digest.Digest) (*closure, error) {
	key := r.reference(d.String())
	if c, ok := r.tree.closures.Get(key); ok && (c.until.IsZero() || time.Now().Before(c.until)) {
		return c, nil
	}
	return ask(ctx, r.tree, "closure "+key, func(ctx context.Context) (*closure, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		w := &closureWalk{
			closure: &closure{created: a.Created, places: map[digest.Digest]int{}}, repo: r, reference: key,
			known: map[digest.Digest]bool{}, documents: map[digest.Digest]*resolver.Manifest{},
		}
		err = w.walk(ctx, resolver.Subject(a.Manifest))
		if err == nil {
			w.files, err = layoutFiles(a, w.hostImage(a.Manifest))
		}
		if err != nil {
			return nil, fmt.Errorf("what belongs to %s: %w", key, err)
		}
		for i, m := range w.members {
			w.places[m.digest] = i
		}
		r.tree.closures.Add(key, w.closure)
		return w.closure, nil
	})
}

// A closureWalk makes a closure.
type closureWalk struct {
	*closure
	repo      *repository
	reference string                 // of the artifact
	bytes     atomic.Int64           // of the documents
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
				w.until = time.Now().Add(w.repo.tree.tagTTL)
				continue
			}
			w.documents[m.Digest] = m
			w.members = append(w.members, member{digest: m.Digest, size: m.Size, mediaType: m.MediaType, document: true})
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

// fetch reads documents, and keeps of each what the walk needs. One that the
// registry doesn't have is nil.
func (w *closureWalk) fetch(ctx context.Context, list []ocispec.Descriptor) ([]*resolver.Manifest, error) {
	manifests := make([]*resolver.Manifest, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(documentsAtOnce)
	for i, desc := range list {
		group.Go(w.repo.tree.guarded(func() error {
			if ctx.Err() != nil {
				return ctx.Err() // one has failed: the others needn't be asked for
			}
			m, err := w.repo.manifest(ctx, desc.Digest)
			if missing(err) && len(w.documents) > 0 {
				w.repo.tree.log.Warn("manifest left out of the layout", "reference", w.reference, "manifest", desc.Digest, "error", err)
				return nil
			}
			if err != nil {
				return err
			}
			if w.bytes.Add(m.Size) > maxDocumentBytes {
				return fmt.Errorf("manifests of more than %d bytes: %w", maxDocumentBytes, errdef.ErrSizeExceedsLimit)
			}
			m.Content, m.Annotations = nil, nil
			if m.MediaType == "" {
				m.MediaType = desc.MediaType // of a kind that isn't known, out of the cache
			}
			manifests[i] = m
			return nil
		}))
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
			m := member{digest: desc.Digest, size: desc.Size, mediaType: desc.MediaType}
			if len(desc.Data) <= maxMemberData {
				m.data = desc.Data
			}
			w.members = append(w.members, m)
		}
	}
	return slices.DeleteFunc(documents, func(desc ocispec.Descriptor) bool { return !isNew(desc) })
}

// hostImage is the image that a host would run of a manifest, if all of it is a
// member.
func (w *closureWalk) hostImage(m *resolver.Manifest) *resolver.Manifest {
	for m != nil && m.IsIndex() {
		i := artifact.Host(m.Manifests, w.repo.tree.platform)
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

// find is the member with a digest.
func (c *closure) find(d digest.Digest) (member, bool) {
	i, ok := c.places[d]
	if !ok {
		return member{}, false
	}
	return c.members[i], true
}

// keepFor is how long the kernel may keep what it was told of the layout.
func (c *closure) keepFor() time.Duration {
	if c.until.IsZero() {
		return forever
	}
	return max(time.Until(c.until), 0)
}
