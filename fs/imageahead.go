package fs

import (
	"context"
	"errors"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/resolver"
)

// imageAhead is for who looks for an image's rootfs and has its manifest: beside the
// question for the config it asks for the tables of contents that layers have in them,
// whether there are some beside the layers, and for the first bytes of the topmost layer.
// Whoever needs them next finds them, or waits for what is on its way already.
//
// An image whose config is here has been looked into before, and may need neither.
func (r *repository) imageAhead(m *resolver.Manifest) {
	if r.local || !isImage(m) || len(m.Layers) == 0 {
		return
	}
	if _, here := r.tree.cache.CachedSize(m.Config.Digest); here {
		return
	}
	r.tablesAhead(m)
	top := m.Layers[len(m.Layers)-1]
	src := sourceOf(top)
	image := imageManifest{m, r}
	if top.Digest == "" || !image.mayHaveTable(&src) {
		return
	}
	r.tree.beside(func(ctx context.Context) error {
		_, err := image.sociIndexes(ctx)
		return err
	})
	if src.Size >= images.BesideTable {
		r.readBeside(top, archive.Range{Length: 1})
	}
}

// tablesAtOnce is how many layers' own tables of contents are asked for ahead, and
// tableAhead how much of one, in bytes.
const (
	tablesAtOnce = 8
	tableAhead   = 1 << 20
)

// tablesAhead asks for those of the topmost layers of which nothing is here.
func (r *repository) tablesAhead(m *resolver.Manifest) {
	asked := 0
	for _, l := range slices.Backward(m.Layers) {
		src := sourceOf(l)
		at, ok := src.Table()
		if _, here := r.tree.cache.CachedSize(l.Digest); !ok || here || l.Digest == "" {
			continue
		}
		if asked++; asked > tablesAtOnce {
			return
		}
		r.readBeside(l, archive.Range{Offset: at.Offset, Length: min(at.Length, tableAhead)})
	}
}

func sourceOf(l ocispec.Descriptor) archive.Source {
	return archive.Source{Digest: l.Digest, Size: l.Size, MediaType: l.MediaType, Annotations: l.Annotations}
}

// readBeside reads of a layer what nobody gets.
func (r *repository) readBeside(l ocispec.Descriptor, at archive.Range) {
	r.tree.beside(func(ctx context.Context) (err error) {
		blob, err := r.openRead(l)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, blob.Close()) }()
		_, err = blob.ReadChecked(ctx, make([]byte, at.Length), at.Offset)
		return err
	})
}

// beside runs what nobody waits for. What goes wrong with it shows when it is asked for.
func (t *tree) beside(do func(context.Context) error) {
	t.run(func() error { return do(t.ctx) }, func(error) {})
}
