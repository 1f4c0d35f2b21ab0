package fs

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/resolver"
)

// Bounds of what is remembered of one repository.
const (
	maxManifests = 4096
	maxBlobs     = 16384
)

// A repository is what a mount knows of one repository: the digests it met.
// All of it can be forgotten.
type repository struct {
	tree   *tree
	source resolver.Source
	name   string // with the registry's, HOST[:PORT]/NAME; of a layout, its path
	origin string // whose word its content is
	local  bool   // it is on this machine
	// credential is as whom the registry is asked, a secret; "" is nobody.
	credential func(context.Context) (string, error)

	// denied is the registry's denial that there is such a repository, nil where
	// there is none.
	denied func(context.Context) error

	manifests *lru.Cache[digest.Digest, struct{}]
	// announced are manifests of which there is evidence and that weren't read: what
	// a tag was resolved to, what an index lists, what was told as a referrer; with the
	// media type that came with it.
	announced *lru.Cache[digest.Digest, string]
	mu        sync.Mutex // guards that of a blob in blobs nothing is replaced by less
	blobs     *lru.Cache[digest.Digest, metBlob]
	known     *lru.Cache[digest.Digest, bool] // see known.go; whether that is noted on disk
	vouching  *vouching                       // see gate.go
}

func newRepository(t *tree, source resolver.Source, name, origin string) *repository {
	return &repository{
		tree:       t,
		source:     source,
		name:       name,
		origin:     origin,
		credential: anonymous,
		denied:     func(context.Context) error { return nil },

		manifests: newLRU[digest.Digest, struct{}](maxManifests),
		announced: newLRU[digest.Digest, string](maxManifests),
		blobs:     newLRU[digest.Digest, metBlob](maxBlobs),
		known:     newLRU[digest.Digest, bool](maxKnown),
		vouching:  newVouching(),
	}
}

// reference names an object of the repository in errors and in the log.
func (r *repository) reference(digestOrTag string) string {
	separator := ":"
	if digest.Digest(digestOrTag).Validate() == nil {
		separator = "@"
	}
	return r.name + separator + digestOrTag
}

// artifact returns the manifest with that digest and what its directory shows,
// from memory, the disk or the registry.
//
// Bytes that the cache holds are right wherever they came from; whether this
// repository has them is another question (known.go).
//
// Where the manifest has to be read, ahead are called with it before its config is asked
// for: they ask beside that for what comes after it.
func (r *repository) artifact(ctx context.Context, d digest.Digest, ahead ...func(*resolver.Manifest)) (*repositoryArtifact, error) {
	if _, err := r.admit(ctx, d); err != nil {
		return nil, err
	}
	key := r.name + "@" + d.String()
	if a, ok := r.tree.artifacts.get(key); ok {
		r.vouchFor(a.Manifest)
		return a, nil
	}
	return ask(ctx, r.tree, "manifest "+key, func(ctx context.Context) (*repositoryArtifact, error) {
		// One that came between the look of who asks and this.
		if a, ok := r.tree.artifacts.get(key); ok {
			return a, nil
		}
		m, err := r.manifest(ctx, d)
		if err != nil {
			return nil, err
		}
		for _, begin := range ahead {
			begin(m)
		}
		a := r.describe(ctx, m)
		r.tree.artifacts.add(key, a)
		return a, nil
	})
}

// manifest reads and parses the manifest with that digest; what it lists has been
// met then. Of one that can't be parsed, or is of another kind (Docker's schema 1,
// say), the document is all there is to show, and of one that lists what is no
// descriptor, all but that.
func (r *repository) manifest(ctx context.Context, d digest.Digest) (*resolver.Manifest, error) {
	content, err := r.document(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := resolver.ParseManifest(d, content)
	if err != nil {
		r.tree.log.Warn("manifest shown without its parts", "reference", r.reference(d.String()), "error", err)
		m = &resolver.Manifest{Digest: d, MediaType: resolver.DocumentType(content), Size: int64(len(content))}
	}
	if m.LeftOut != nil {
		r.tree.log.Warn("parts of a manifest left out: no descriptors", "reference", r.reference(d.String()), "which", m.LeftOut)
	}
	r.meet(m)
	r.vouchFor(m)
	r.reached(d)
	return m, nil
}

// document returns the bytes of a manifest that may be read.
func (r *repository) document(ctx context.Context, d digest.Digest) ([]byte, error) {
	if _, err := r.admit(ctx, d); err != nil {
		return nil, err
	}
	return r.anyDocument(ctx, d)
}

// anyDocument returns a manifest's bytes. A source that calls them another kind of
// document than they are is refused, and so are bytes that the cache had before.
func (r *repository) anyDocument(ctx context.Context, d digest.Digest) ([]byte, error) {
	if r.local { // what it has is what it has, and near
		return r.source.Manifest(ctx, d)
	}
	content, own, err := r.cachedDocument(ctx, d)
	if !own && (missing(err) || denied(err)) {
		// That was said to another repository, which asked at the same time.
		content, own, err = r.cachedDocument(ctx, d)
	}
	told, _ := r.announced.Peek(d)
	switch {
	case err != nil || own:
	case !r.manifests.Contains(d) && resolver.Contradiction(told, content) != nil:
		return r.source.Manifest(ctx, d) // as if nobody had it: the document's own answer counts
	default:
		err = r.has(ctx, d, func(ctx context.Context) error {
			told, err := r.source.Resolve(ctx, d.String())
			if err == nil {
				err = resolver.Contradiction(told.MediaType, content)
			}
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// cachedDocument is a document as the cache holds it, or this repository's source
// gives it; own is that the source was asked.
func (r *repository) cachedDocument(ctx context.Context, d digest.Digest) (content []byte, own bool, err error) {
	var asked atomic.Bool // who waits may be gone before it is asked
	content, err = r.tree.cache.Document(ctx, r.origin, d, func(ctx context.Context) ([]byte, error) {
		defer asked.Store(true)
		return r.source.Manifest(ctx, d)
	})
	return content, asked.Load(), err
}

// meet remembers what a manifest shows to exist.
func (r *repository) meet(m *resolver.Manifest) {
	r.manifests.Add(m.Digest, struct{}{})
	if m.Config != nil {
		r.meetBlob(metBlob{Descriptor: *m.Config})
	}
	for _, layer := range m.Layers {
		if layer.Digest != "" {
			r.meetBlob(metBlob{Descriptor: layer})
		}
	}
	for _, desc := range m.Manifests {
		r.announce(desc.Digest, "")
	}
}

// announce takes a manifest of which there is evidence, and what its source calls it
// by a media type, "" if it hasn't said.
func (r *repository) announce(d digest.Digest, mediaType string) {
	r.learn(d)
	if mediaType != "" || !r.announced.Contains(d) {
		r.announced.Add(d, mediaType)
	}
}

// promised tells whether there is evidence of a manifest that would have to be
// asked for: that it is a directory is known, and no more.
func (r *repository) promised(d digest.Digest) bool {
	return !r.local && r.announced.Contains(d) && !r.atHand(d)
}

// atHand tells whether it takes no request for a manifest to be read.
func (r *repository) atHand(d digest.Digest) bool {
	if r.tree.artifacts.has(r.name + "@" + d.String()) {
		return true
	}
	_, kept := r.tree.cache.CachedDocument(d)
	return kept
}

// met are the digests of that algorithm among those that were met, in an order
// that doesn't go by when.
func met(all []digest.Digest, a digest.Algorithm) []digest.Digest {
	all = slices.DeleteFunc(all, func(d digest.Digest) bool { return d.Algorithm() != a })
	slices.Sort(all)
	return slices.Compact(all)
}

// A manifestLister is a source that can tell which manifests it has. A registry
// can't.
type manifestLister interface {
	Manifests(ctx context.Context) ([]ocispec.Descriptor, error)
}

// listed are the manifests to be listed: those that were met, and those that the
// source lists. In a layout that has no tags there is no other way to them.
func (r *repository) listed(ctx context.Context) ([]digest.Digest, error) {
	list := r.manifests.Keys()
	lister, ok := r.source.(manifestLister)
	if !ok {
		return list, nil
	}
	manifests, err := lister.Manifests(ctx)
	for _, desc := range manifests {
		if resolver.IsManifest(desc.MediaType) {
			list = append(list, desc.Digest)
		}
	}
	return list, err
}

// metTags are the tags that were resolved; known is that the repository has given
// anything.
func (r *repository) metTags() (tags []string, known bool) {
	if remote, ok := r.source.(*resolver.Repository); ok {
		return remote.MetTags()
	}
	return nil, false
}

// blob describes the blob with that digest, and tells whether its size is a hint.
func (r *repository) blob(ctx context.Context, d digest.Digest) (desc ocispec.Descriptor, hint bool, err error) {
	if err := r.admitBlob(ctx, d); err != nil {
		return desc, false, err
	}
	b, err := r.sized(ctx, d)
	if err == nil {
		r.reached(d)
	}
	return plain(b.Descriptor), b.hint(), err
}

// plain is what two descriptors of one blob have in common.
func plain(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size, Data: desc.Data}
}

// What the cache asks of a fetcher beside bytes, a registry's tells: see [cache.Fetcher].
var (
	_ cache.Chooser = (*resolver.Blob)(nil)
	_ cache.Unsure  = (*resolver.Blob)(nil)
)

// open returns a reference to a blob's bytes.
func (r *repository) open(desc ocispec.Descriptor) (*cache.Blob, error) {
	key := cache.Key{Origin: r.origin, Digest: desc.Digest, Size: desc.Size, Local: r.local}
	return r.tree.cache.Blob(key, r.source.Blob(desc))
}

// resolve tells which digest a tag stands for. The manifest isn't met by that: a
// walk that reads the links of tags would find it listed and go on into it.
func (r *repository) resolve(ctx context.Context, tag string) (digest.Digest, error) {
	d, err := r.tree.tags.getOr(ctx, r.reference(tag), func(ctx context.Context) (digest.Digest, error) {
		desc, err := r.source.Resolve(ctx, tag)
		if err != nil {
			r.tree.remembered.deny(r, tag, err)
			return "", err
		}
		r.announce(desc.Digest, desc.MediaType)
		r.tree.remembered.tag(r, tag, desc.Digest)
		return desc.Digest, nil
	}, func(ctx context.Context) (digest.Digest, time.Time) {
		before, ok := r.tree.remembered.tags(ctx, r)[tag]
		if remote, is := r.source.(*resolver.Repository); ok && is {
			remote.Remember(tag)
			r.announce(before.Digest, "")
		}
		return before.Digest, before.Said
	})
	if err == nil {
		err = r.admitTag(ctx, tag, d)
	}
	return d, err
}
