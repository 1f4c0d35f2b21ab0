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
// (org.opencontainers.image.title), which may hold folders, as oras pull does. A
// directory may be the one that is pulled into: its title is ".". A title that is
// there twice, which oras refuses, is the first layer's.
func (f *files) addTitled(context.Context) error {
	seen := map[string]bool{}
	for i, desc := range f.Layers {
		title := desc.Annotations[ocispec.AnnotationTitle]
		switch {
		case title == "": // it has none
		case seen[title]:
			f.named[i] = true
			f.skip(title, errTaken)
		case unpacks(desc):
			f.unpack(title, Archive{Layer: i, Path: title})
		default:
			f.place(title, Entry{Layer: i})
		}
		seen[title] = true
	}
	return nil
}
