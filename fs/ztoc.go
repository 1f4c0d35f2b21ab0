package fs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/resolver"
)

const (
	// minIndexed is the size in bytes below which nobody is asked for a SOCI
	// index that the image's manifest doesn't name: soci leaves out layers of
	// less than 10 MiB unless it is told otherwise, and such a one is here soon.
	minIndexed = 1 << 20
	// maxZTOC bounds a zTOC, in bytes: it holds a window of 32 KiB for each
	// 4 MiB of a layer, and its files.
	maxZTOC = 256 << 20
)

// An imageManifest is what is asked about an image before its config is known.
type imageManifest struct {
	*resolver.Manifest
	repo *repository
}

// mayHaveTable tells whether a layer may have a SOCI table of contents that is of use.
func (a imageManifest) mayHaveTable(s *archive.Source) bool {
	named := a.Annotations[archive.SOCIIndexDigest] != ""
	return isImage(a.Manifest) && strings.HasSuffix(s.MediaType, "gzip") && (named || s.Size >= minIndexed) && !s.OwnTable()
}

// ztoc is the SOCI table of contents of a layer, nil where there is none or none
// is needed. That it can't be had is no failure: the layer is read without.
func (a imageManifest) ztoc(ctx context.Context, s *archive.Source) []byte {
	index, err := a.sociIndexes(ctx)
	desc, ok := index[s.Digest]
	if err != nil || !ok {
		return nil // why not the log has
	}
	if s.Room != nil && desc.Size <= maxZTOC {
		if err := s.Room(ctx, desc.Size, true); err != nil {
			a.repo.tree.log.Warn("zTOC not read", "reference", a.repo.reference(desc.Digest.String()), "layer", s.Digest, "error", err)
			return nil
		}
	}
	ztoc, err := a.repo.content(ctx, desc, maxZTOC)
	if err != nil {
		a.repo.tree.log.Warn("zTOC not read", "reference", a.repo.reference(desc.Digest.String()), "layer", s.Digest, "error", err)
		return nil
	}
	return ztoc
}

// sociIndexes are the zTOCs of the image's layers, by the layers' digests, as they were
// found last.
func (a imageManifest) sociIndexes(ctx context.Context) (map[digest.Digest]ocispec.Descriptor, error) {
	return a.repo.tree.soci.get(ctx, a.repo.reference(a.Digest.String()), a.sociIndexOrNone)
}

// sociIndexOrNone is sociIndex for all of the image's layers: that there is none, or
// that it can't be had, is an answer too, so that not each layer asks.
func (a imageManifest) sociIndexOrNone(ctx context.Context) (map[digest.Digest]ocispec.Descriptor, error) {
	index, err := a.sociIndex(ctx)
	if err == nil || ctx.Err() != nil {
		return index, ctx.Err()
	}
	a.repo.tree.log.Warn("SOCI index not read", "reference", a.repo.reference(a.Digest.String()), "error", err)
	return nil, nil
}

// sociIndex are the zTOCs of the image's layers, by the layers' digests. The
// manifest names the index (v2), or the index refers to the manifest (v1).
func (a imageManifest) sociIndex(ctx context.Context) (map[digest.Digest]ocispec.Descriptor, error) {
	if named, ok := a.Annotations[archive.SOCIIndexDigest]; ok {
		d, err := parseDigest(named)
		if err != nil {
			return nil, err
		}
		return a.repo.ztocs(ctx, d)
	}
	// Which one it was is kept: what was read with it must be there while the
	// registry is down.
	kept := "soci-" + digest.FromString(a.repo.reference(a.Digest.String())).Encoded()
	if name, ok := a.repo.tree.cache.Index(kept); ok {
		if d, err := parseDigest(string(name)); err == nil {
			return a.repo.ztocs(ctx, d)
		}
	}
	found, err := a.repo.source.Referrers(ctx, resolver.Subject(a.Manifest), archive.MediaTypeSOCIIndexV1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	a.repo.announce(found[0].Digest, "")
	index, err := a.repo.ztocs(ctx, found[0].Digest)
	if err == nil {
		a.repo.tree.cache.PutIndex(kept, []byte(found[0].Digest))
	}
	return index, err
}

// ztocs are the zTOCs that an index has. A wrong one would show other names and content
// than the layer's, so that it has to be vouched for by more than that it refers to the
// image.
func (r *repository) ztocs(ctx context.Context, index digest.Digest) (map[digest.Digest]ocispec.Descriptor, error) {
	if r.tree.gate != nil {
		if _, err := r.tree.gate.trusted(ctx, r, index); err != nil {
			return nil, err
		}
	}
	m, err := r.manifest(ctx, index)
	if err != nil {
		return nil, err
	}
	return archive.ZTOCs(m.Layers), nil
}

// small is the verified content of a blob of at most 4 MiB.
func (r *repository) small(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	blob, err := r.open(desc)
	if err != nil {
		return nil, err
	}
	content, err := blob.ReadAll(ctx)
	return content, errors.Join(err, blob.Close())
}

// content is all of a blob of at most so many bytes, verified.
func (r *repository) content(ctx context.Context, desc ocispec.Descriptor, most int64) (content []byte, err error) {
	if desc.Size > most {
		return nil, fmt.Errorf("blob %s has %d bytes, at most %d are read", desc.Digest, desc.Size, most)
	}
	blob, err := r.openRead(desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	content = make([]byte, desc.Size)
	if n, err := blob.ReadAt(ctx, content, 0); n < len(content) {
		return nil, err
	}
	return content, nil
}
