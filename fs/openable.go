package fs

import (
	"context"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/archive"
)

// Which layers are archives can't be told for sure without reading them: oras
// calls any file without a type application/vnd.oci.image.layer.v1.tar. A listing
// asks nobody, so it goes by what the manifest says, and leaves those out;
// whoever names the directory of a layer that isn't listed gets it if the
// layer's first bytes are an archive's.

// listsOpened tells whether a layer is listed opened.
func (a *artifact) listsOpened(i int) bool {
	desc := a.Layers[i]
	if a.isImage() || desc.Annotations[annotationUnpack] == "true" {
		return true
	}
	return saysTar(desc.MediaType)
}

// saysTar tells whether a media type says of a layer that it is a tar. The one
// that oras gives to every file doesn't.
func saysTar(mediaType string) bool {
	return isTar(mediaType) && mediaType != ocispec.MediaTypeImageLayer
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

// opens tells whether layer i can be opened, by its first bytes where the
// manifest doesn't say it is an archive.
func (a *artifact) opens(ctx context.Context, i int) (bool, error) {
	desc := a.Layers[i]
	if a.listsOpened(i) || !mayOpen(desc.MediaType) {
		return a.listsOpened(i), nil
	}
	return ask(ctx, a.repo.tree, "archive "+a.repo.name+"@"+desc.Digest.String(), func(ctx context.Context) (bool, error) {
		blob, err := a.repo.openRead(desc)
		if err != nil {
			return false, err
		}
		defer func() { _ = blob.Close() }() // it was only read
		return archive.IsArchive(ctx, blob, desc.Size)
	})
}
