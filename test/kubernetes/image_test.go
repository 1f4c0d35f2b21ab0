package kubernetes

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// imageName is the only image that the node has: busybox. Sandboxes run it as well.
const imageName = "localhost/busybox:test"

// writeImage writes it as a tar file of an OCI image layout.
func writeImage(file string) error {
	busybox, err := os.ReadFile(filepath.Join(tools, "kubernetes", "busybox"))
	if err != nil {
		return err
	}
	programs := []entry{{Header: tar.Header{Name: "bin/busybox", Mode: 0o755}, content: busybox}}
	for _, name := range []string{"cat", "ls", "mkdir", "sh", "sha256sum", "sleep"} {
		programs = append(programs, entry{Header: tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}})
	}
	layer, err := archive(programs...)
	if err != nil {
		return err
	}
	var blobs []entry
	blob := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.FromBytes(content)
		blobs = append(blobs, entry{Header: tar.Header{Name: "blobs/sha256/" + d.Encoded(), Mode: 0o644}, content: content})
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	object := func(mediaType string, v any) (ocispec.Descriptor, error) {
		content, err := json.Marshal(v)
		return blob(mediaType, content), err
	}
	config, err := object(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "trap exit TERM; while :; do sleep 1; done"}, Env: []string{"PATH=/bin"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	if err != nil {
		return err
	}
	manifest, err := object(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{blob(ocispec.MediaTypeImageLayer, layer)},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{"io.containerd.image.name": imageName, ocispec.AnnotationRefName: "test"}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest},
	})
	if err != nil {
		return err
	}
	layout, err := archive(append(blobs,
		entry{Header: tar.Header{Name: ocispec.ImageLayoutFile, Mode: 0o644}, content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		entry{Header: tar.Header{Name: ocispec.ImageIndexFile, Mode: 0o644}, content: index})...)
	if err != nil {
		return err
	}
	return os.WriteFile(file, layout, 0o600)
}

// An entry is what a tar file has of one file.
type entry struct {
	tar.Header
	content []byte
}

func archive(entries ...entry) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// lines are those of a program's output that aren't empty.
func lines(output string) []string {
	return strings.FieldsFunc(output, func(r rune) bool { return r == '\n' })
}
