package fs

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/resolver"
)

// isImage tells whether a manifest's layers can be applied.
func isImage(m *resolver.Manifest) bool { return artifact.IsImage(m.Config, m.Layers) }

// imageLayers are an image's layers, or one layer by itself: what package images
// opens.
type imageLayers struct {
	repo     *repository
	manifest digest.Digest
	layer    int // or artifact.AllLayers
}

// image is what is open of them. Each repository has its own, since what is in a
// manifest is also a matter of who may see it.
func (l imageLayers) image() *images.Image {
	key := fmt.Sprintf("%s@%s/%d", l.repo.name, l.manifest, l.layer)
	return l.repo.tree.images.Image(key, l.layer != artifact.AllLayers, l)
}

// admitted is image for who would show what is in it.
func (l imageLayers) admitted(ctx context.Context) (*images.Image, error) {
	if _, err := l.repo.admit(ctx, l.manifest); err != nil {
		return nil, err
	}
	return l.image(), nil
}

// tree is the image's tree, opened if need be.
func (l imageLayers) tree(ctx context.Context) (*images.Tree, error) {
	image, err := l.admitted(ctx)
	if err != nil {
		return nil, err
	}
	return image.Tree(ctx)
}

// find is what the image has at a path.
func (l imageLayers) find(ctx context.Context, path string) (t *images.Tree, n archive.Node, ok bool, err error) {
	image, err := l.admitted(ctx)
	if err != nil {
		return nil, n, false, err
	}
	return image.Find(ctx, path)
}

// open opens a file of the image.
func (l imageLayers) open(ctx context.Context, t *images.Tree, n archive.Node) (*images.File, error) {
	image, err := l.admitted(ctx)
	if err != nil {
		return nil, err
	}
	return image.Open(ctx, t, n)
}

// Sources implements images.Maker.
func (l imageLayers) Sources(ctx context.Context) ([]*images.Source, error) {
	a, err := l.repo.artifact(ctx, l.manifest)
	if err != nil {
		return nil, err
	}
	if l.layer != artifact.AllLayers {
		return []*images.Source{a.source(l.layer)}, nil
	}
	sources := make([]*images.Source, len(a.Layers))
	for i := range sources {
		if a.Layers[i].Digest == "" {
			// Without one of them it would be another image.
			return nil, fmt.Errorf("layers of %s can't be applied: %w", a.Digest, a.LeftOut)
		}
		sources[i] = a.source(i)
	}
	return sources, nil
}

// source is what layer i is made of. All repositories of one origin share what is
// open of a layer, since it is the same server that gives the bytes; but where a table
// of contents may lie beside the layer it is the repository's word as well.
func (a *repositoryArtifact) source(i int) *images.Source {
	r, desc := a.repo, a.Layers[i]
	src := &images.Source{Source: archive.Source{
		Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType, Annotations: desc.Annotations,
		DiffID: a.diffID(i), Store: r.archives(), Log: r.tree.log.With("reference", a.reference()),
	}}
	whose := r.origin
	if m := (imageManifest{a.Manifest, r}); m.mayHaveTable(&src.Source) {
		whose, src.Table = r.name, m.ztoc
	}
	src.Key = fmt.Sprintf("%s %s %s %d", whose, src.TOCKey(), src.DiffID, desc.Size)
	src.Open = func() (images.Blob, error) { return r.openRead(desc) }
	return src
}

// diffID is the digest of layer i's tar, "" where the image's config doesn't
// tell.
func (a *repositoryArtifact) diffID(i int) digest.Digest {
	if len(a.DiffIDs) != len(a.Layers) {
		return ""
	}
	return a.DiffIDs[i]
}

// rootfs shows the image's layers applied.
func (a *repositoryArtifact) rootfs() *view { return a.layerView(artifact.AllLayers, "") }

// layerView shows what is below a path in layer i.
func (a *repositoryArtifact) layerView(i int, path string) *view {
	layers := imageLayers{repo: a.repo, manifest: a.Digest, layer: i}
	return &view{imageLayers: layers, path: path, created: a.Created}
}
