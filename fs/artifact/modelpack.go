package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ModelPack's annotations of a layer (modelpack/model-spec, annotations.md,
// "Layer Annotation Keys"), and those that they were before the CNCF had it.
const (
	annotationModelPath        = "org.cncf.model.filepath"
	annotationModelMetadata    = "org.cncf.model.file.metadata+json"
	annotationOldModelPath     = "org.cnai.model.filepath"
	annotationOldModelMetadata = "org.cnai.model.file.metadata+json"
)

// modelPackPath is where a layer belongs, "" where no annotation says so.
func modelPackPath(desc ocispec.Descriptor) string {
	if path := desc.Annotations[annotationModelPath]; path != "" {
		return path
	}
	return desc.Annotations[annotationOldModelPath]
}

// addModelPack places the layers that have no title by their paths, which may
// hold folders. One that is an archive is a directory, unless its metadata says
// that it holds one file.
//
// Names in an archive are relative to where the path is, so that the path leads
// to the same in the archive as in files/. But not all writers do so: what an
// archive has elsewhere isn't hidden.
func (f *files) addModelPack(context.Context) error {
	for i, desc := range f.Layers {
		path := modelPackPath(desc)
		if path == "" || f.named[i] {
			continue
		}
		if !saysTar(desc.MediaType) {
			f.place(path, Entry{Layer: i})
			continue
		}
		metadata, err := metadataOf(desc)
		if err != nil {
			f.skip(path, err)
		}
		if metadata.isFile() {
			f.place(path, Entry{Layer: i, As: Archived, Path: path, Size: *metadata.Size})
		} else {
			f.unpack(path, Archive{Layer: i, Path: path, Alone: true})
		}
	}
	return nil
}

// metadataOf is what a layer's annotations say of the file that it holds; nothing
// where that can't be believed.
func metadataOf(desc ocispec.Descriptor) (fileMetadata, error) {
	text := desc.Annotations[annotationModelMetadata]
	if text == "" {
		text = desc.Annotations[annotationOldModelMetadata]
	}
	if text == "" {
		return fileMetadata{}, nil
	}
	return parseFileMetadata(text)
}

// fileMetadata is what ModelPack says of a file, as far as it is needed
// (model-spec, specs-go/v1, FileMetadata).
type fileMetadata struct {
	Size     *int64 `json:"size"` // in bytes
	Typeflag byte   `json:"typeflag"`
}

// maxFileMetadata bounds the text of a file's metadata, in bytes. It holds a
// name, a time and some numbers.
const maxFileMetadata = 64 << 10

func parseFileMetadata(text string) (m fileMetadata, err error) {
	if len(text) > maxFileMetadata {
		return m, fmt.Errorf("file metadata of %d bytes, %d are the most", len(text), maxFileMetadata)
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fileMetadata{}, fmt.Errorf("file metadata: %w", err)
	}
	if m.isFile() && (m.Size == nil || *m.Size < 0) {
		return fileMetadata{}, errors.New("file metadata: a file without a size")
	}
	return m, nil
}

// isFile tells whether they are a regular file's: the flag is that of its tar
// header.
func (m fileMetadata) isFile() bool { return m.Typeflag == '0' }
