package mount

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// described are the attributes that stand for a descriptor.
func described(d ocispec.Descriptor) map[string]string {
	x := map[string]string{
		"user.oci.digest":    d.Digest.String(),
		"user.oci.mediaType": d.MediaType,
		"user.oci.size":      strconv.FormatInt(d.Size, 10),
	}
	for key, value := range d.Annotations {
		if _, ok := x["user."+key]; !ok {
			x["user."+key] = value
		}
	}
	return x
}

// TestAnnotations reads every annotation of an artifact that oras pushed as an
// extended attribute of the file it is about.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	pushed := r.pushSeveral(t)
	m := mountRegistry(t, r.host)
	artifact := "hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/"

	document := m.cat(t, artifact+"manifest.json")
	var manifest ocispec.Manifest
	if err := json.Unmarshal([]byte(document), &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Layers) != 3 || len(manifest.Annotations) != 3 || len(manifest.Config.Annotations) != 1 {
		t.Fatalf("oras didn't push what this test is about: %s", document)
	}

	want := described(ocispec.Descriptor{
		MediaType:   manifest.MediaType,
		Digest:      digest.Digest(pushed),
		Size:        int64(len(document)),
		Annotations: manifest.Annotations,
	})
	want["user.oci.artifactType"] = "application/vnd.example.several.v1"
	m.hasXattrs(t, want, artifact)
	m.hasXattrs(t, want, "hello-artifact/_tags/v3/") // through the link

	m.hasXattrs(t, described(manifest.Config), artifact+"config.json")

	layers := []string{"00-res.tar.gz", "01-notes.txt", "02-readme.md"}
	for i, title := range []string{"res.tar.gz", "notes.txt", "docs/readme.md"} {
		layer := manifest.Layers[i]
		if layer.Annotations[ocispec.AnnotationTitle] != title {
			t.Fatalf("layer %d is %v, not %s", i, layer.Annotations, title)
		}
		m.hasXattrs(t, described(layer), artifact+"files", title)
		m.hasXattrs(t, described(layer), artifact+"layers", layers[i])
		// A blob belongs to no manifest.
		layer.Annotations = nil
		m.hasXattrs(t, described(layer), "hello-artifact/_blobs/sha256", hexOf(layer.Digest.String()))
	}

	fails(t, noAttribute, "getfattr", "-n", "user.org.example.none", m.path(artifact+"files/notes.txt"))
}
