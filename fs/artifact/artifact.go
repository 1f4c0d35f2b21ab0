package artifact

import (
	"context"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Manifest is what of a manifest or an index decides what its directory shows.
// Its descriptors have valid digests, but for holes: a layer without one, which the
// document doesn't describe so that it could be had. It is nowhere, and the layers
// after it keep their numbers.
type Manifest struct {
	Config      *ocispec.Descriptor
	Layers      []ocispec.Descriptor
	Manifests   []ocispec.Descriptor // of an index
	Annotations map[string]string
	Content     []byte // the document, for what a format adds to descriptors
}

// ReadBlob gives the content of a blob, verified. It is asked for configs only,
// and may refuse what is larger than some MiB.
type ReadBlob func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)

// An Artifact is what the directory of a manifest shows of it: the names, the
// time. It doesn't change.
type Artifact struct {
	Created  time.Time       // zero where nothing tells it
	Image    bool            // its layers are an image's: they can be applied
	Platform string          // of an image: OS/ARCHITECTURE[/VARIANT]
	DiffIDs  []digest.Digest // of an image, as its config gives them

	Files      *Folder
	LayerNames []LayerName // one for each layer; none of a hole

	// PlatformNames are those of an index's manifests; "" is one that was there
	// before. Platforms are the places of the manifests by those names.
	PlatformNames []string
	Platforms     map[string]int
}

// Describe names the parts of a manifest. What can't be had (the time of an
// image whose config can't be read) or named (a hostile title) is left out, with
// a line in the log.
func Describe(ctx context.Context, m Manifest, read ReadBlob, log *slog.Logger) *Artifact {
	a := &Artifact{
		Created:       parseTime(m.Annotations[ocispec.AnnotationCreated]),
		Image:         IsImage(m.Config, m.Layers),
		PlatformNames: namePlatforms(m.Manifests),
	}
	a.Platforms = make(map[string]int, len(a.PlatformNames))
	for i, name := range a.PlatformNames {
		if name != "" {
			a.Platforms[name] = i
		}
	}
	a.LayerNames = nameLayers(m.Layers, a.Image)
	if m.Config != nil && isImageConfig(m.Config.MediaType) {
		config, err := readImageConfig(ctx, *m.Config, read)
		if err != nil {
			log.Warn("image's config not read, its time and platform are left out", "error", err)
		}
		if a.Created.IsZero() {
			a.Created = config.created
		}
		a.Platform = PlatformString(config.platform)
		a.DiffIDs = config.diffIDs
	}
	a.Files = arrange(ctx, m, read, log)
	return a
}

// parseTime reads an annotation's time (RFC 3339, annotations.md of the image
// specification). One that isn't is as good as none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// IsImage tells whether a manifest with that config and those layers is an
// image's, so that its layers can be applied: the config says so, and every layer
// that is known is of a kind that layers are.
func IsImage(config *ocispec.Descriptor, layers []ocispec.Descriptor) bool {
	if config == nil || !isImageConfig(config.MediaType) {
		return false
	}
	for _, desc := range layers {
		if !isHole(desc) && !isTar(desc.MediaType) {
			return false
		}
	}
	return true
}

// isHole tells whether there is no layer at its place.
func isHole(layer ocispec.Descriptor) bool { return layer.Digest == "" }

// ConfigName is the name of the config in the manifest's directory.
func ConfigName(mediaType string) string {
	if isJSON(mediaType) {
		return "config.json"
	}
	return "config"
}
