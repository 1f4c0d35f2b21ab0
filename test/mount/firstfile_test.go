package mount

import (
	"net/http"
	"os/exec"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestAskedBesideEachOther looks for a file of an image: for its config, for a table of
// contents and for the first bytes of its layer nobody waits before the others are asked
// for, and once is enough.
func TestAskedBesideEachOther(t *testing.T) {
	t.Parallel()
	items := append(bulkyOf(t, 10), regular("first", "first\n"))
	l := gzipLayer(t, tarOf(t, items...))
	image := imageOf(t, l)
	d := digest.FromBytes(image.manifest)
	index := asJSON(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{{
			MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(image.manifest)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"},
		}},
	})
	for _, tag := range []string{"image", "index"} {
		t.Run(tag, func(t *testing.T) {
			f := serveFake(t)
			f.addImage("app", "image", image)
			f.AddManifest("app", "index", ocispec.MediaTypeImageIndex, index)
			m := mountRegistry(t, f.host, "--timeout", "1h", "--platform", "linux/amd64")
			goOn := make(chan struct{})
			release := sync.OnceFunc(func() { close(goOn) })
			defer release()
			paths := []string{"/blobs/" + digest.FromBytes(image.config).String(), "/referrers/", "/blobs/" + l.descriptor().Digest.String()}
			for _, path := range paths {
				f.Inject(fakeregistry.Fault{Path: path, Stall: true, Until: goOn})
			}
			p := start(t, exec.Command("cat", m.path("app:"+tag+"/rootfs/first")))
			for _, path := range paths {
				eventually(t, path+" is asked for", func() bool { return f.Count(http.MethodGet, path) > 0 })
			}
			release()
			if state := p.wait(t); !state.Success() || p.stdout.String() != "first\n" {
				t.Errorf("%s: %q, %s", state, p.stdout.String(), p.stderr.String())
			}
			for _, path := range paths[:2] {
				if n := f.Count(http.MethodGet, path); n != 1 {
					t.Errorf("%s was asked for %d times", path, n)
				}
			}
		})
	}
}

// TestTableBesideConfig looks for a file of an image whose layer has its own table of
// contents: nobody waits for the config before that is asked for, and once is enough.
func TestTableBesideConfig(t *testing.T) {
	t.Parallel()
	items := append(bulkyOf(t, 10), regular("first", "first\n"))
	for format, l := range map[string]layer{
		"eStargz": stargzLayer(t, nil, items...), "zstd:chunked": zstdChunkedLayer(t, false, nil, items...),
	} {
		t.Run(format, func(t *testing.T) {
			f := serveFake(t)
			image := imageOf(t, l)
			f.addImage("app", "image", image)
			m := mountRegistry(t, f.host, "--timeout", "1h")
			config, blob := "/blobs/"+digest.FromBytes(image.config).String(), "/blobs/"+l.descriptor().Digest.String()
			goOn := make(chan struct{})
			release := sync.OnceFunc(func() { close(goOn) })
			defer release()
			f.Inject(fakeregistry.Fault{Path: config, Stall: true, Until: goOn})
			p := start(t, exec.Command("ls", m.path("app:image/rootfs")))
			eventually(t, "the config is asked for", func() bool { return f.Count(http.MethodGet, config) > 0 })
			eventually(t, "the layer is asked for", func() bool { return f.Count(http.MethodGet, blob) > 0 })
			release()
			if state := p.wait(t); !state.Success() {
				t.Errorf("%s: %s", state, p.stderr.String())
			}
			if n := f.Count(http.MethodGet, blob); n != 1 {
				t.Errorf("the layer was asked for %d times", n)
			}
		})
	}
}
