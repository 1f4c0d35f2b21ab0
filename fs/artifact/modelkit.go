package artifact

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mediaTypeKitConfig is the media type of a ModelKit's config (KitOps, "ModelKit
// specification").
const mediaTypeKitConfig = "application/vnd.kitops.modelkit.config.v1+json"

// addModelKit unpacks all layers of a ModelKit into files/ itself.
func (f *files) addModelKit(context.Context) error {
	if !f.isModelKit() {
		return nil
	}
	for i := range f.named {
		f.named[i] = true
	}
	return f.root.unpack(nil, Archive{Layer: AllLayers})
}

// isModelKit tells whether a manifest is of a ModelKit whose layers can be
// unpacked over each other, as `kit unpack` does it: their names are relative to
// the kit's root. Layers that have titles are shown by those.
func (m Manifest) isModelKit() bool {
	if m.Config == nil || m.Config.MediaType != mediaTypeKitConfig || len(m.Layers) == 0 {
		return false
	}
	for _, desc := range m.Layers {
		if !isHole(desc) && !saysTar(desc.MediaType) || desc.Annotations[ocispec.AnnotationTitle] != "" {
			return false
		}
	}
	return true
}
