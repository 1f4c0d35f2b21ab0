package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/export"
	"github.com/orasfs/orasfs/fs/signed"
	"github.com/orasfs/orasfs/resolver"
)

// maxLayouts is how many layouts a mount remembers, of some 4 MiB at most.
const maxLayouts = 8

// A layoutContent is what a layout holds.
type layoutContent struct {
	*export.Closure
	// until is when it is asked for again, because it isn't complete: what is left
	// out may be there the next time. It is zero where nothing is left out.
	until time.Time
}

// layout is what the layout of a manifest holds.
func (r *repository) layout(ctx context.Context, d digest.Digest) (*layoutContent, error) {
	if _, err := r.admit(ctx, d); err != nil {
		return nil, err
	}
	key := r.reference(d.String())
	if c, ok := r.tree.layouts.Get(key); ok && (c.until.IsZero() || time.Now().Before(c.until)) {
		return c, nil
	}
	return ask(ctx, r.tree, "layout "+key, func(ctx context.Context) (*layoutContent, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		closure, err := export.NewClosure(ctx, export.Options{
			Artifact: a.Manifest, Created: a.Created, Manifests: layoutManifests{r, key}, IsImage: isImage,
			ForHost: func(list []ocispec.Descriptor) int { return artifact.Host(list, r.tree.platform) },
		})
		if err != nil {
			return nil, fmt.Errorf("what belongs to %s: %w", key, err)
		}
		c := &layoutContent{Closure: closure}
		if closure.Incomplete {
			c.until = time.Now().Add(r.tree.tagTTL)
		}
		r.tree.layouts.Add(key, c)
		return c, nil
	})
}

// keepFor is how long the kernel may keep what it was told of the layout.
func (c *layoutContent) keepFor() time.Duration {
	if c.until.IsZero() {
		return forever
	}
	return max(time.Until(c.until), 0)
}

// layout is what the layout of the manifest holds.
func (p *manifestPart) layout(ctx context.Context) (*layoutContent, syscall.Errno) {
	c, err := p.repo.layout(ctx, p.digest)
	return c, p.tree.contentErrno(ctx, "list layout", p.reference(), err)
}

// layoutManifests are the manifests of a repository for the layout of an artifact.
type layoutManifests struct {
	repo      *repository
	reference string // of the artifact
}

// Manifest implements export.Manifests. It runs in a goroutine of that package.
func (l layoutManifests) Manifest(ctx context.Context, desc ocispec.Descriptor) (m *resolver.Manifest, err error) {
	err = l.repo.tree.guarded(func() (err error) {
		m, err = l.repo.manifest(ctx, desc.Digest)
		return err
	})()
	switch {
	case desc.MediaType == "" && (missing(err) || errors.Is(err, errdef.ErrUnsupported)):
		return nil, nil // it may be a blob
	case missing(err), signed.Denied(err): // a subject, say
		l.repo.tree.log.Warn("manifest left out of the layout", "reference", l.reference, "manifest", desc.Digest, "error", err)
		return nil, nil
	}
	return m, err
}

// layoutContents are the contents of a repository for a layout's tar.
type layoutContents struct{ repo *repository }

// Open implements export.Contents.
func (l layoutContents) Open(m export.Member) (export.Content, error) {
	if m.Manifest {
		return memberManifest{l.repo, m}, nil
	}
	// A layout that is remembered may hold what may not be read any more.
	if err := l.repo.admitBlob(l.repo.tree.ctx, m.Digest); err != nil {
		return nil, err
	}
	blob, err := l.repo.open(m.Descriptor())
	if err != nil {
		return nil, err
	}
	return &memberBlob{blob.Reader(), blob}, nil
}

// A memberManifest is a manifest in a layout's tar. It is verified as a whole each
// time that it is read.
type memberManifest struct {
	repo   *repository
	member export.Member
}

// ReadAt implements export.Content.
func (m memberManifest) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	content, err := m.repo.document(ctx, m.member.Digest)
	if err == nil && int64(len(content)) != m.member.Size {
		err = fmt.Errorf("manifest %s has %d bytes, not %d", m.member.Digest, len(content), m.member.Size)
	}
	if err != nil {
		return 0, err
	}
	return copy(p, content[off:]), nil
}

// Verified implements export.Content.
func (m memberManifest) Verified() bool { return true }

// Close implements export.Content.
func (m memberManifest) Close() error { return nil }

// A memberBlob is a blob in a layout's tar.
type memberBlob struct {
	*cache.Reader
	blob *cache.Blob
}

// Verified implements export.Content.
func (m *memberBlob) Verified() bool { return m.blob.Verified() }

// Close implements export.Content.
func (m *memberBlob) Close() error { return errors.Join(m.Reader.Close(), m.blob.Close()) }
