//go:build linux

package csi

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// An item is a member of a layer.
type item struct {
	kind         byte
	name, target string
	content      string
}

func regular(name, content string) item { return item{tar.TypeReg, name, "", content} }
func directory(name string) item        { return item{tar.TypeDir, name, "", ""} }
func symlink(name, target string) item  { return item{tar.TypeSymlink, name, target, ""} }

// pushImage pushes an image with one layer.
func pushImage(t testing.TB, fake *fakeregistry.Registry, repo, tag string, items ...item) ocispec.Descriptor {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, i := range items {
		mode := int64(0o644)
		if i.kind == tar.TypeDir {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: i.kind, Name: i.name, Linkname: i.target, Size: int64(len(i.content)), Mode: mode}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	blob := fake.AddBlob(repo, layer.Bytes())
	blob.MediaType = ocispec.MediaTypeImageLayer
	config := fake.AddBlob(repo, asJSON(t, ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{blob.Digest}},
	}))
	config.MediaType = ocispec.MediaTypeImageConfig
	return fake.AddManifest(repo, tag, ocispec.MediaTypeImageManifest, asJSON(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{blob},
	}))
}

// pushFiles pushes an artifact with several files.
func pushFiles(fake *fakeregistry.Registry, repo, tag string, files map[string]string) map[string]digest.Digest {
	digests := make(map[string]digest.Digest)
	var layers []ocispec.Descriptor
	for name, content := range files {
		layer := fake.AddBlob(repo, []byte(content))
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		layers = append(layers, layer)
		digests[name] = layer.Digest
	}
	fake.AddArtifact(repo, tag, "application/vnd.example.model", nil, layers...)
	return digests
}

func asJSON(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// noise is content that no two files have alike.
func noise(t testing.TB, seed uint64, size int64) string {
	t.Helper()
	content, err := io.ReadAll(fakeregistry.Generated(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// fetched is how many bytes of a blob a registry has sent.
func fetched(fake *fakeregistry.Registry, d digest.Digest) (sum int64) {
	for _, r := range fake.Matching("GET", "/blobs/"+d.String()) {
		sum += r.Bytes
	}
	return sum
}
