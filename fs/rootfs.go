package fs

import (
	"context"
	"strings"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/resolver"
)

// isImage tells whether a manifest is an image's, so that its layers can be
// applied: the config says so, and every layer is of a kind that layers are.
func (a *artifact) isImage() bool {
	if a.Config == nil || !resolver.IsImageConfig(a.Config.MediaType) || len(a.Layers) == 0 {
		return false
	}
	for _, desc := range a.Layers {
		if !isTar(desc.MediaType) {
			return false
		}
	}
	return true
}

// isTar tells whether a media type is a tar's, compressed or not. Docker writes
// the compression with a dot.
func isTar(mediaType string) bool {
	for _, end := range []string{".tar", "+tar", ".tar+gzip", ".tar.gzip", ".tar+zstd", ".tar.zstd"} {
		if strings.HasSuffix(mediaType, end) {
			return true
		}
	}
	return mediaType == "application/x-tar" || mediaType == "application/tar"
}

// mayOpen tells whether a media type leaves it possible that the content is an
// archive.
func mayOpen(mediaType string) bool {
	for _, end := range []string{"gzip", "zstd", "octet-stream"} {
		if strings.HasSuffix(mediaType, end) {
			return true
		}
	}
	return isTar(mediaType)
}

// rootfs shows the image's layers applied.
func (a *artifact) rootfs() *view { return a.layerView(allLayers, "") }

// layerView shows what is below a path in layer i.
func (a *artifact) layerView(i int, path string) *view {
	return &view{repo: a.repo, manifest: a.Digest, layer: i, path: path, created: a.created}
}

// opens tells whether layer i is shown opened. An image's layers are archives;
// of others the media type says little, since oras calls any file without a
// type a tar: their first bytes tell, which may be read from the registry once.
func (a *artifact) opens(ctx context.Context, i int) bool {
	desc := a.Layers[i]
	if a.isImage() {
		return true
	}
	if !mayOpen(desc.MediaType) {
		return false
	}
	is, err := ask(ctx, a.repo.tree, "archive "+a.repo.name+"@"+desc.Digest.String(), func(ctx context.Context) (bool, error) {
		blob, err := a.repo.openRead(desc)
		if err != nil {
			return false, err
		}
		defer func() { _ = blob.Close() }() // it was only read
		return archive.IsArchive(ctx, blob, desc.Size)
	})
	if err != nil {
		a.repo.tree.log.Warn("it can't be told whether a layer is an archive", "reference", a.repo.reference(a.Digest.String()),
			"digest", desc.Digest, "error", err)
	}
	return is
}
