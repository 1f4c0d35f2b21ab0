package mount

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

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
