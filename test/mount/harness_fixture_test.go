package mount

import (
	"encoding/json"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// testdata is the directory of images and artifacts made by real tools.
var testdata = filepath.Join("..", "testdata")

// The specifications of fixtures that aren't the base image's: a layout and a
// file in it.
var (
	tinySpec      = [2]string{"multi", "expected-amd64.mtree"}
	dialectsSpec  = [2]string{"tar-dialects", "expected.mtree"}
	gnuSparseSpec = [2]string{"tar-dialects", "expected-gnu-sparse.mtree"}
)

// fixtureImages are the images of testdata, and what they must show. The
// tables of contents of stargz have times in whole seconds.
var fixtureImages = []struct {
	fixture, tag string
	spec         [2]string // nothing: the base image
	allowed      []allowance
}{
	{fixture: "base-gzip"},
	{fixture: "base-pigz"},
	{fixture: "base-tar"},
	{fixture: "base-zstd"},
	{fixture: "base-zstd-frames"},
	{fixture: "base-esgz", allowed: []allowance{wholeSeconds}},
	{fixture: "base-esgz-chunks", allowed: []allowance{wholeSeconds}},
	{fixture: "base-zstdchunked-podman"},
	{fixture: "base-zstdchunked-stargz", allowed: []allowance{wholeSeconds}},
	{fixture: "base-soci-v1"},
	{fixture: "base-soci-v2"},
	{fixture: "buildkit-esgz", spec: tinySpec},
	{fixture: "buildkit-zstd", spec: tinySpec},
	{fixture: "zstdchunked-podman-old", spec: tinySpec},
	{fixture: "multi", spec: tinySpec},
	{fixture: "docker-schema2", tag: "tiny", spec: tinySpec},
	{fixture: "docker-schema2", tag: "list", spec: tinySpec},
	{fixture: "tar-dialects", spec: dialectsSpec},
	{fixture: "tar-dialects", tag: "gnu-sparse", spec: gnuSparseSpec},
}

// openFixture is a layout of testdata.
func openFixture(t testing.TB, name string) iofs.FS {
	t.Helper()
	layout, err := fakeregistry.OpenLayout(filepath.Join(testdata, name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// addFixture serves a layout of testdata as the repository of that name.
func (f *fake) addFixture(t testing.TB, name string) iofs.FS {
	t.Helper()
	layout := openFixture(t, name)
	if err := f.AddLayout(name, layout); err != nil {
		t.Fatal(err)
	}
	return layout
}

// fixtureManifest is the image for amd64 that a tag of a layout leads to.
func fixtureManifest(t testing.TB, layout iofs.FS, tag string) (digest.Digest, ocispec.Manifest) {
	t.Helper()
	var index ocispec.Index
	readJSON(t, layout, ocispec.ImageIndexFile, &index)
	var at ocispec.Descriptor
	for _, m := range index.Manifests {
		if m.Annotations[ocispec.AnnotationRefName] == tag {
			at = m
		}
	}
	if at.Digest == "" {
		t.Fatalf("no tag %s in the layout", tag)
	}
	if strings.Contains(at.MediaType, "index") || strings.Contains(at.MediaType, "list") {
		readJSON(t, layout, "blobs/sha256/"+at.Digest.Encoded(), &index)
		for _, m := range index.Manifests {
			if m.Platform != nil && m.Platform.Architecture == "amd64" && m.ArtifactType == "" {
				at = m
			}
		}
	}
	var manifest ocispec.Manifest
	readJSON(t, layout, "blobs/sha256/"+at.Digest.Encoded(), &manifest)
	if len(manifest.Layers) == 0 {
		t.Fatalf("the image of tag %s has no layers", tag)
	}
	return at.Digest, manifest
}

func readJSON(t testing.TB, layout iofs.FS, name string, into any) {
	t.Helper()
	content, err := iofs.ReadFile(layout, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// fixtureSpec writes a file of a layout to the disk.
func fixtureSpec(t testing.TB, of [2]string) string {
	t.Helper()
	content, err := iofs.ReadFile(openFixture(t, of[0]), of[1])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), of[1])
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
