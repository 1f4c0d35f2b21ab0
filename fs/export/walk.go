package export

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

	"github.com/orasfs/orasfs/resolver"
)

// A Manifests gives manifests. It is asked by several goroutines at a time.
type Manifests interface {
	// Manifest reads the manifest or the index that a descriptor is of. None and no
	// error is that the registry doesn't have it, as a manifest.
	Manifest(ctx context.Context, desc ocispec.Descriptor) (*resolver.Manifest, error)
}

// Options say what a layout is of.
type Options struct {
	Artifact  *resolver.Manifest
	Created   time.Time
	Manifests Manifests
	// IsImage tells whether a manifest is an image's.
	IsImage func(*resolver.Manifest) bool
	// ForHost is the place of the manifest in an index that a host would run; -1
	// is none.
	ForHost func([]ocispec.Descriptor) int
}

const (
	// maxMembers bounds a closure. An image for ten platforms has some hundred.
	maxMembers = 20_000
	// maxManifests and maxManifestBytes bound its manifests, each of which is a
	// request and is held while the closure is made.
	maxManifests     = 1_024
	maxManifestBytes = 64 << 20
	// maxMemberData is up to which size a member's data is kept: that is for an
	// empty config, which a registry may not have.
	maxMemberData = 4 << 10
	// manifestsAtOnce is how many are asked for at the same time.
	manifestsAtOnce = 8
)

// NewClosure finds what belongs to an artifact. It asks for manifests, never for a
// blob. More than 20,000 members, 1,024 manifests or 64 MiB of them are
// errdef.ErrSizeExceedsLimit.
func NewClosure(ctx context.Context, o Options) (*Closure, error) {
	w := &walk{
		Options: o, closure: &Closure{Created: o.Created, places: map[digest.Digest]int{}},
		known: map[digest.Digest]bool{}, manifests: map[digest.Digest]*resolver.Manifest{},
	}
	if err := w.all(ctx); err != nil {
		return nil, err
	}
	c := w.closure
	for i, m := range c.Members {
		c.places[m.Digest] = i
	}
	var err error
	c.Files, err = files(o.Artifact, o.IsImage(o.Artifact), w.imageForHost())
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A walk makes a closure.
type walk struct {
	Options
	closure   *Closure
	bytes     atomic.Int64           // of the manifests
	known     map[digest.Digest]bool // members, and what is left out
	manifests map[digest.Digest]*resolver.Manifest
}

// all adds the artifact and what it needs, breadth first.
func (w *walk) all(ctx context.Context) error {
	w.known[w.Artifact.Digest] = true
	w.bytes.Add(w.Artifact.Size)
	pending, err := w.add(w.Artifact)
	for err == nil && len(pending) > 0 {
		pending, err = w.level(ctx, pending)
	}
	// Who reads the tar as a stream knows by the manifests what he wants of it.
	slices.SortStableFunc(w.closure.Members, func(a, b Member) int { return order(a) - order(b) })
	return err
}

func order(m Member) int {
	if m.Manifest {
		return 0
	}
	return 1
}

// level reads manifests and adds them, and gives those that they need.
func (w *walk) level(ctx context.Context, list []ocispec.Descriptor) (next []ocispec.Descriptor, err error) {
	if len(w.manifests)+len(list) > maxManifests {
		return nil, fmt.Errorf("more than %d manifests: %w", maxManifests, errdef.ErrSizeExceedsLimit)
	}
	manifests, err := w.read(ctx, list)
	if err != nil {
		return nil, err
	}
	for i, m := range manifests {
		switch {
		case m == nil && list[i].MediaType == "":
			w.addBlob(list[i])
			continue
		case m == nil:
			w.closure.Incomplete = true
			continue
		}
		needed, err := w.add(m)
		if err != nil {
			return nil, err
		}
		next = append(next, needed...)
	}
	return next, nil
}

// read reads manifests, and keeps of each what the walk needs.
func (w *walk) read(ctx context.Context, list []ocispec.Descriptor) ([]*resolver.Manifest, error) {
	manifests := make([]*resolver.Manifest, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	for i, desc := range list {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err() // one has failed: the others needn't be asked for
			}
			m, err := w.Manifests.Manifest(ctx, desc)
			if m == nil || err != nil {
				return err
			}
			if w.bytes.Add(m.Size) > maxManifestBytes {
				return fmt.Errorf("manifests of more than %d bytes: %w", maxManifestBytes, errdef.ErrSizeExceedsLimit)
			}
			needed := *m
			needed.Content, needed.Annotations = nil, nil
			manifests[i] = &needed
			return nil
		})
	}
	return manifests, group.Wait()
}

// add adds a manifest and the blobs that it lists, and gives the manifests that it
// needs. What isn't distributed with the image (image specification,
// "Non-distributable layers") is left out, as other clients do, and so is what the
// manifest doesn't describe.
func (w *walk) add(m *resolver.Manifest) (needed []ocispec.Descriptor, err error) {
	w.manifests[m.Digest] = m
	w.addMember(Member{Digest: m.Digest, Size: m.Size, MediaType: m.MediaType, Manifest: true})
	var blobs []ocispec.Descriptor
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, desc := range m.Layers {
		if desc.Digest != "" && !resolver.IsForeign(desc.MediaType) {
			blobs = append(blobs, desc)
		}
	}
	for _, desc := range m.Manifests {
		// What has no media type is whatever the registry gives it as.
		if desc.MediaType == "" || resolver.IsManifest(desc.MediaType) {
			needed = append(needed, desc)
		} else {
			blobs = append(blobs, desc) // BuildKit's cache lists layers
		}
	}
	if m.Subject != nil {
		needed = append(needed, *m.Subject)
	}
	for _, desc := range blobs {
		if w.isNew(desc) {
			w.addBlob(desc)
		}
	}
	if len(w.closure.Members) > maxMembers {
		return nil, fmt.Errorf("more than %d blobs: %w", maxMembers, errdef.ErrSizeExceedsLimit)
	}
	return slices.DeleteFunc(needed, func(desc ocispec.Descriptor) bool { return !w.isNew(desc) }), nil
}

func (w *walk) addBlob(desc ocispec.Descriptor) {
	blob := Member{Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType}
	if len(desc.Data) <= maxMemberData {
		blob.Data = desc.Data
	}
	w.addMember(blob)
}

func (w *walk) addMember(m Member) { w.closure.Members = append(w.closure.Members, m) }

// isNew tells whether a digest is met for the first time.
func (w *walk) isNew(desc ocispec.Descriptor) bool {
	before := w.known[desc.Digest]
	w.known[desc.Digest] = true
	return !before
}

// imageForHost is the image of the artifact that a host would run, if all of it is
// a member; nil is none.
func (w *walk) imageForHost() *resolver.Manifest {
	m := w.Artifact
	for m != nil && m.IsIndex() {
		i := w.ForHost(m.Manifests)
		if i < 0 {
			return nil
		}
		m = w.manifests[m.Manifests[i].Digest]
	}
	absent := func(desc ocispec.Descriptor) bool { return desc.Digest == "" || resolver.IsForeign(desc.MediaType) }
	if m == nil || !w.IsImage(m) || slices.ContainsFunc(m.Layers, absent) {
		return nil
	}
	return m
}
