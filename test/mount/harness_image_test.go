package mount

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// An item is an entry of a tar that a test makes.
type item struct {
	tar.Header
	content string
}

// packedAt is the time of all items.
var packedAt = time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC)

func newItem(kind byte, name, target, content string, mode int64) item {
	return item{tar.Header{
		Typeflag: kind, Name: name, Linkname: target, Size: int64(len(content)), Mode: mode,
		ModTime: packedAt, Format: tar.FormatPAX,
	}, content}
}

func regular(name, content string) item { return newItem(tar.TypeReg, name, "", content, 0o644) }
func directory(name string) item        { return newItem(tar.TypeDir, name, "", "", 0o755) }
func symlink(name, target string) item  { return newItem(tar.TypeSymlink, name, target, "", 0o777) }
func hardlink(name, target string) item { return newItem(tar.TypeLink, name, target, "", 0o644) }

// noise is content that no compression makes smaller, the same for the same
// seed.
func noise(t testing.TB, seed uint64, size int64) string {
	t.Helper()
	content, err := io.ReadAll(fakeregistry.Generated(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// tarOf is a tar of the items.
func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		if err := w.WriteHeader(&i.Header); err != nil {
			t.Fatalf("%s: %v", i.Name, err)
		}
		if _, err := io.WriteString(w, i.content); err != nil {
			t.Fatalf("%s: %v", i.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gzipped is one member.
func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zstdCompressed is one frame.
func zstdCompressed(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

// A layer is one of an image: its bytes, and of the descriptor what isn't
// theirs.
type layer struct {
	blob        []byte
	mediaType   string
	annotations map[string]string
	diffID      digest.Digest
}

// The layers that have no index. What is in one is all that it is made of.

func plainLayer(content []byte) layer {
	return layer{blob: content, mediaType: ocispec.MediaTypeImageLayer, diffID: digest.FromBytes(content)}
}

func gzipLayer(t testing.TB, content []byte) layer {
	t.Helper()
	return layer{blob: gzipped(t, content), mediaType: ocispec.MediaTypeImageLayerGzip, diffID: digest.FromBytes(content)}
}

func zstdLayer(t testing.TB, content []byte) layer {
	t.Helper()
	return layer{blob: zstdCompressed(t, content), mediaType: ocispec.MediaTypeImageLayerZstd, diffID: digest.FromBytes(content)}
}

// descriptor is the layer's in a manifest.
func (l layer) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: l.mediaType, Digest: digest.FromBytes(l.blob), Size: int64(len(l.blob)), Annotations: l.annotations,
	}
}

// An image is its documents, and the layers where they aren't elsewhere.
type image struct {
	config, manifest []byte
	layers           []layer
}

// imageOf makes an image of layers.
func imageOf(t testing.TB, layers ...layer) image {
	t.Helper()
	descriptors := make([]ocispec.Descriptor, len(layers))
	diffIDs := make([]digest.Digest, len(layers))
	for i, l := range layers {
		descriptors[i], diffIDs[i] = l.descriptor(), l.diffID
	}
	made := imageOfDescriptors(t, descriptors, diffIDs)
	made.layers = layers
	return made
}

// imageOfDescriptors makes an image of layers that are elsewhere.
func imageOfDescriptors(t testing.TB, layers []ocispec.Descriptor, diffIDs []digest.Digest) image {
	t.Helper()
	config := asJSON(t, ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	})
	return image{config: config, manifest: asJSON(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers:    layers,
	})}
}

// addImage adds an image to a repository and gives the path of its manifest's
// directory.
func (f *fake) addImage(repo, tag string, i image) string {
	for _, l := range i.layers {
		f.AddBlob(repo, l.blob)
	}
	f.AddBlob(repo, i.config)
	pushed := f.AddManifest(repo, tag, ocispec.MediaTypeImageManifest, i.manifest)
	return manifestPath(repo, pushed.Digest)
}

// manifestPath is the path of a manifest's directory.
func manifestPath(repo string, d digest.Digest) string {
	return repo + "/_manifests/sha256/" + d.Encoded()
}

// layout writes the image as an OCI image layout and gives its directory. The
// tag is latest.
func (i image) layout(t testing.TB) string {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(i.manifest), Size: int64(len(i.manifest)),
		Annotations: map[string]string{ocispec.AnnotationRefName: "latest"},
	}}}
	files := map[string]string{
		ocispec.ImageIndexFile:  string(asJSON(t, index)),
		ocispec.ImageLayoutFile: `{"imageLayoutVersion":"1.0.0"}`,
	}
	for _, blob := range [][]byte{i.config, i.manifest} {
		files["blobs/sha256/"+digest.FromBytes(blob).Encoded()] = string(blob)
	}
	for _, l := range i.layers {
		files["blobs/sha256/"+digest.FromBytes(l.blob).Encoded()] = string(l.blob)
	}
	return folder(t, files)
}

// fetched is how many bytes of a blob the registry sent since it last forgot
// its requests.
func (f *fake) fetched(d digest.Digest) int64 {
	var sum int64
	for _, r := range f.Matching("GET", "/blobs/"+d.String()) {
		sum += r.Bytes
	}
	return sum
}
