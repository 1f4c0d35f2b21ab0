package artifact

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationUnpack marks what oras made of a directory: a tar of it, whose
// names begin with the title.
const annotationUnpack = "io.deis.oras.content.unpack"

// unpacks tells whether a layer is a directory of oras'.
func unpacks(desc ocispec.Descriptor) bool { return desc.Annotations[annotationUnpack] == "true" }

// addTitled arranges the layers by their titles
// (org.opencontainers.image.title), which may hold folders, as oras pull does.
func (f *files) addTitled(context.Context) error {
	for i, desc := range f.Layers {
		title, file := desc.Annotations[ocispec.AnnotationTitle], Entry{Layer: i}
		if title == "" {
			continue
		}
		if unpacks(desc) {
			file.As, file.Path = Unpacked, title
		}
		f.place(title, file)
	}
	return nil
}
