package mount

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A fake is a fake registry that is being served.
type fake struct {
	*fakeregistry.Registry
	host string
}

// serveFake serves an empty fake registry.
func serveFake(t testing.TB) *fake {
	t.Helper()
	registry := fakeregistry.New()
	return &fake{registry, serve(t, registry)}
}

// serve serves a handler on a port of this machine until the test ends.
func serve(t testing.TB, handler http.Handler) (host string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // those that a test has stalled too
		server.Close()
	})
	return server.Listener.Addr().String()
}

// titled gives a layer's descriptor a title.
func titled(layer ocispec.Descriptor, title string) ocispec.Descriptor {
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	return layer
}

// addFile adds an artifact of one generated file, content.bin, tagged v1, and
// gives the layer and a copy of the content to compare with.
func (f *fake) addFile(t testing.TB, repo string, seed uint64, size int64) (ocispec.Descriptor, string) {
	t.Helper()
	layer := f.AddGenerated(repo, seed, size)
	f.AddArtifact(repo, "v1", "application/vnd.example.file", nil, titled(layer, "content.bin"))
	content, err := io.ReadAll(fakeregistry.Generated(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(t.TempDir(), "original")
	if err := os.WriteFile(original, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return layer, original
}

// contentPath is the path of that file.
func contentPath(repo string) string { return repo + "/_tags/v1/files/content.bin" }

// addModel adds a manifest with a config of that media type to a repository and
// gives the path of its directory. What else a layer has than its descriptor
// is in the document.
func (f *fake) addModel(t testing.TB, repo, configType, config string, layers ...any) string {
	t.Helper()
	manifest := asJSON(t, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers,
		"config": ocispec.Descriptor{MediaType: configType, Digest: digest.FromString(config), Size: int64(len(config))},
	})
	f.AddBlob(repo, []byte(config))
	return manifestPath(repo, f.AddManifest(repo, "v1", ocispec.MediaTypeImageManifest, manifest).Digest)
}

// addLayer adds a blob to a repository and gives the descriptor of a layer of
// it, with annotations given as pairs.
func (f *fake) addLayer(repo, mediaType string, content []byte, pairs ...string) ocispec.Descriptor {
	desc := f.AddBlob(repo, content)
	desc.MediaType, desc.Annotations = mediaType, map[string]string{}
	for pair := range slices.Chunk(pairs, 2) {
		desc.Annotations[pair[0]] = pair[1]
	}
	return desc
}

// flipOnce has the next request that brings a byte bring it wrong.
func (f *fake) flipOnce(blob string, at int64) {
	covers := func(r *http.Request) bool {
		var first, last int64
		_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		return err != nil || first <= at && at <= last
	}
	f.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/blobs/" + blob, If: covers, Times: 1, Flip: true, FlipAt: at})
}

// stall has the registry leave without an answer what has this in its path.
func (f *fake) stall(path string) (release func()) {
	return f.Inject(fakeregistry.Fault{Path: path, Stall: true})
}

// asksNothingBut is asksNothing where some requests, METHOD PATH, are right.
func (f *fake) asksNothingBut(t testing.TB, when string, right ...string) {
	t.Helper()
	for _, kind := range []string{"/blobs/", "/manifests/", "/referrers/"} {
		for _, r := range f.Matching("", kind) {
			if !slices.Contains(right, r.Method+" "+r.Path) {
				t.Errorf("%s the registry was asked: %s %s", when, r.Method, r.Path)
			}
		}
	}
}

// asksNothing fails the test if the registry was asked for content or for who
// refers to it.
func (f *fake) asksNothing(t testing.TB, when string) {
	t.Helper()
	for _, kind := range []string{"/blobs/", "/manifests/", "/referrers/"} {
		for _, r := range f.Matching("", kind) {
			t.Errorf("%s the registry was asked: %s %s", when, r.Method, r.Path)
		}
	}
}
