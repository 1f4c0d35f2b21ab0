package artifact

import (
	"fmt"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A LayerName is how a layer is called in layers/.
type LayerName struct {
	Raw     string
	Opened  string // of its directory: the number that Raw begins with
	Archive ArchiveGuess
}

// An ArchiveGuess is what a manifest tells of whether a layer is an archive. It
// can't be told for sure without reading the layer: oras calls any file without a
// type application/vnd.oci.image.layer.v1.tar.
type ArchiveGuess int

// What it tells.
const (
	NoArchive      ArchiveGuess = iota
	PerhapsArchive              // only its first bytes tell
	IsArchive
)

// nameLayers numbers the layers from 0, with two digits or as many as the last
// needs, and names each by the last element of its title, or, where it has
// none that can be used, by its digest and media type. A hole has a number and no
// name.
func nameLayers(layers []ocispec.Descriptor, image bool) []LayerName {
	width := max(2, len(strconv.Itoa(len(layers)-1)))
	names := make([]LayerName, len(layers))
	for i, desc := range layers {
		if isHole(desc) {
			continue
		}
		number := fmt.Sprintf("%0*d", width, i)
		title := desc.Annotations[ocispec.AnnotationTitle]
		last := title[strings.LastIndexByte(title, '/')+1:]
		if last == "" || checkElement(number+"-"+last) != nil {
			last = desc.Digest.Encoded()[:shortDigest] + extension(desc.MediaType)
		}
		names[i] = LayerName{Raw: number + "-" + last, Opened: number, Archive: guessArchive(desc, image)}
	}
	return names
}

// guessArchive tells what a layer's descriptor tells.
func guessArchive(desc ocispec.Descriptor, image bool) ArchiveGuess {
	switch {
	case image, unpacks(desc), saysTar(desc.MediaType):
		return IsArchive
	case mayBeArchive(desc.MediaType):
		return PerhapsArchive
	}
	return NoArchive
}
