package mount

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestManifestUnderAnotherType has a registry serve a manifest as a page. What it
// shows is the same at first and out of the cache.
func TestManifestUnderAnotherType(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	f.Inject(fakeregistry.Fault{Path: "/manifests/", Header: map[string]string{"Content-Type": "text/html; charset=utf-8"}})
	m := mountRegistry(t, f.host)
	for _, when := range []string{"at first", "from memory"} {
		if got := m.ls(t, "app/_tags/v1/files"); !slices.Equal(got, []string{"content.bin"}) {
			t.Errorf("%s files/ lists %q", when, got)
		}
	}
	m.unmount(t)
	m.mount(t)
	if got := m.ls(t, "app/_tags/v1/files"); !slices.Equal(got, []string{"content.bin"}) {
		t.Errorf("from the disk files/ lists %q", got)
	}
}

// TestImageWithAnOddLayer has an image one of whose layers has a size that none can
// have. All but that is there, and its root file system is an error, not another one.
func TestImageWithAnOddLayer(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	i := imageOf(t, gzipLayer(t, tarOf(t, regular("one", "1\n"))), gzipLayer(t, tarOf(t, regular("two", "2\n"))))
	second := asJSON(t, i.layers[1].descriptor())
	odd := asJSON(t, ocispec.Descriptor{MediaType: i.layers[1].mediaType, Digest: i.layers[1].descriptor().Digest, Size: -1})
	i.manifest = []byte(strings.Replace(string(i.manifest), string(second), string(odd)+","+string(second), 1))
	dir := f.addImage("app", "v1", i)
	m := mountRegistry(t, f.host)
	if got := m.cat(t, dir, "manifest.json"); got != string(i.manifest) {
		t.Errorf("manifest.json holds %q", got)
	}
	for path, want := range map[string]string{"layers/00/one": "1\n", "layers/02/two": "2\n"} {
		if got := m.cat(t, dir, path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
	}
	if got := m.ls(t, dir, "layers"); len(got) != 4 || slices.Contains(got, "01") {
		t.Errorf("layers/ lists %q", got)
	}
	fails(t, ioError, "ls", m.path(dir, "rootfs"))
	m.logs(t, "level=ERROR", "applied", "app@", "layer 1: its size is -1")
	m.logs(t, "level=WARN", "app@", "layer 1: its size is -1")
}
