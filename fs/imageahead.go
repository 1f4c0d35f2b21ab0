package fs

import (
	"context"
	"errors"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/resolver"
)

// imageAhead is for who looks for an image's rootfs and has its manifest: beside the
// question for the config it asks whether the layers have tables of contents, and for
// the first bytes of the topmost layer. Whoever needs them next finds them, or waits for
// what is on its way already.
//
// An image whose config is here has been looked into before, and may need neither.
func (r *repository) imageAhead(m *resolver.Manifest) {
	if r.local || !isImage(m) || len(m.Layers) == 0 {
		return
	}
	if _, here := r.tree.cache.CachedSize(m.Config.Digest); here {
		return
	}
	top := m.Layers[len(m.Layers)-1]
	src := archive.Source{Digest: top.Digest, Size: top.Size, MediaType: top.MediaType, Annotations: top.Annotations}
	image := imageManifest{m, r}
	if top.Digest == "" || !image.mayHaveTable(&src) {
		return
	}
	r.tree.beside(func(ctx context.Context) error {
		_, err := image.sociIndexes(ctx)
		return err
	})
	if src.Size >= images.BesideTable {
		r.tree.beside(func(ctx context.Context) (err error) {
			blob, err := r.openRead(top)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, blob.Close()) }()
			_, err = blob.ReadAt(ctx, make([]byte, 1), 0)
			return err
		})
	}
}

// beside runs what nobody waits for. What goes wrong with it shows when it is asked for.
func (t *tree) beside(do func(context.Context) error) {
	t.run(func() error { return do(t.ctx) }, func(error) {})
}
