package mount

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// spanTarget is how much of a tar a span of an index that orasfs makes holds,
// archive.spanTarget.
const spanTarget = 2 * mib

// TestLazyFormats reads one small file of an image whose layer carries a table
// of contents: cold, it costs that and little more.
func TestLazyFormats(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	for name, l := range map[string]layer{
		"eStargz":                  stargzLayer(t, nil, items...),
		"zstd:chunked, stargz":     zstdChunkedLayer(t, true, nil, items...),
		"zstd:chunked, containers": zstdChunkedLayer(t, false, nil, items...),
	} {
		t.Run(name, func(t *testing.T) {
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			m := mountRegistry(t, f.host)
			if got := m.cat(t, "app:v1/rootfs/etc/os-release"); got != osRelease {
				t.Errorf("etc/os-release holds %q", got)
			}
			// The table of so few entries is below a chunk, and so is its end.
			if n := f.fetched(l.descriptor().Digest); n == 0 || n > mib+2*chunk {
				t.Errorf("of %d bytes %d were fetched, more than the index and 1 MiB", len(l.blob), n)
			}
			sameItems(t, m.path("app:v1/rootfs"), items)
		})
	}
}

// TestLazySOCI does the same with the index of SOCI, which lies beside the
// image: the layers have spans of 512 KiB.
func TestLazySOCI(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{"base-soci-v1", "base-soci-v2"} {
		t.Run(fixture, func(t *testing.T) {
			f := serveFake(t)
			d, manifest := fixtureManifest(t, f.addFixture(t, fixture), "latest")
			m := mountRegistry(t, f.host)
			if got := m.cat(t, manifestPath(fixture, d), "rootfs/etc/os-release"); !strings.Contains(got, "ID=orasfs-fixture\n") {
				t.Errorf("etc/os-release holds %q", got)
			}
			var n, size int64
			for _, l := range manifest.Layers {
				n, size = n+f.fetched(l.Digest), size+l.Size
			}
			if n == 0 || n > mib {
				t.Errorf("of %d bytes of layers %d were fetched, more than 1 MiB", size, n)
			}
		})
	}
}

// TestIndexedLayer reads one small file of a layer that was indexed before and
// isn't in the cache any more: it costs the spans that the file is in.
func TestIndexedLayer(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	l := gzipLayer(t, tarOf(t, items...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host)
	sameItems(t, m.path("app:v1/rootfs"), items)

	blob := l.descriptor().Digest
	m.dropBlob(t, blob)
	f.Reset()
	m.ls(t, "app:v1/rootfs/usr/lib")
	if n := f.fetched(blob); n != 0 {
		t.Errorf("a listing fetched %d bytes", n)
	}
	if got := m.cat(t, "app:v1/rootfs/etc/os-release"); got != osRelease {
		t.Errorf("etc/os-release holds %q", got)
	}
	// Noise is as large in the blob as in the tar.
	if n := f.fetched(blob); n == 0 || n > 2*(spanTarget+chunk) {
		t.Errorf("%d bytes were fetched, more than two spans", n)
	}
	sameItems(t, m.path("app:v1/rootfs"), items)
}

// TestPlainTarListing lists a layer of 100 large files that isn't compressed:
// its headers are looked for between the contents.
func TestPlainTarListing(t *testing.T) {
	t.Parallel()
	const files, size = 100, 32 * mib
	file, err := os.Create(filepath.Join(t.TempDir(), "sparse.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing is lost
	var end int64
	for i := range files {
		var header bytes.Buffer
		h := regular(fmt.Sprintf("big/%03d.bin", i), "").Header
		h.Size = size
		if err := tar.NewWriter(&header).WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(header.Bytes(), end); err != nil {
			t.Fatal(err)
		}
		end += int64(header.Len()) + size
	}
	end += 1024
	if err := file.Truncate(end); err != nil {
		t.Fatal(err)
	}
	// Nobody reads all of it, so that nobody can tell.
	believed := digest.FromString("100 large files")
	f := serveFake(t)
	l := f.AddReader("app", believed, file, end)
	l.MediaType = ocispec.MediaTypeImageLayer
	f.addImage("app", "v1", imageOfDescriptors(t, []ocispec.Descriptor{l}, []digest.Digest{believed}))
	m := mountRegistry(t, f.host)

	listed := output(t, "ls", "-lR", m.path("app:v1/layers/00"))
	if n := strings.Count(listed, fmt.Sprint(" ", size, " ")); n != files {
		t.Errorf("%d files of %d bytes are listed, not %d:\n%s", n, size, files, clip(listed))
	}
	if n := f.fetched(believed); n == 0 || n > end/100 {
		t.Errorf("of %d MiB %d KiB were fetched, more than a hundredth", end/mib, n>>10)
	}
}

// TestKilledWhileIndexing kills the daemon in the middle of the first pass
// through a layer. The next one shows what is in it.
func TestKilledWhileIndexing(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	for name, l := range map[string]layer{
		"gzip": gzipLayer(t, tarOf(t, items...)),
		"zstd": zstdLayer(t, tarOf(t, items...)),
		"tar":  plainLayer(tarOf(t, items...)),
	} {
		t.Run(name, func(t *testing.T) {
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			blob := l.descriptor().Digest
			m := mountRegistry(t, f.host)
			remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + blob.String(), Hang: true, CutAt: 3 * mib, InBlob: true})
			reader := start(t, exec.Command("tar", "-cf", filepath.Join(t.TempDir(), "copy.tar"), "-C", m.path("app:v1/rootfs"), "."))
			eventually(t, "the layer is on its way", func() bool {
				partial, err := filepath.Glob(filepath.Join(m.cache, "v2/partial/sha256-"+blob.Encoded()+"*"))
				return err == nil && len(partial) > 0 && f.Count(http.MethodGet, "/blobs/"+blob.String()) > 0
			})
			if err := syscall.Kill(m.daemon(t), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if state := reader.wait(t); state.Success() {
				t.Error("tar has succeeded")
			}
			eventually(t, "the daemon has gone", func() bool { return len(m.daemons(t)) == 0 })
			output(t, m.binary, "umount", m.dir)
			remove()
			m.mount(t)
			sameItems(t, m.path("app:v1/rootfs"), items)
			if got, want := len(listing(t, m.path("app:v1/rootfs"), "-printf", `%P\0`)), len(items); got != want {
				t.Errorf("there are %d names, not %d", got, want)
			}
		})
	}
}

// TestSharedLayer compares two images that have their base in common, after
// their indexes are known: what is common isn't read, because it is one inode
// in both.
func TestSharedLayer(t *testing.T) {
	t.Parallel()
	base := gzipLayer(t, tarOf(t, bulkyOf(t, 10)...))
	top := func(version string) layer {
		return gzipLayer(t, tarOf(t, directory("app/"), regular("app/version", version+"\n"), regular("app/same", "same\n"), regular("usr/lib/lib03.so", version)))
	}
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, base, top("one")))
	f.addImage("app", "v2", imageOf(t, base, top("two")))
	m := mountRegistry(t, f.host)
	one, two := m.path("app/_tags/v1/rootfs"), m.path("app/_tags/v2/rootfs")
	output(t, "ls", "-R", one+"/", two+"/")

	shared := base.descriptor().Digest
	m.dropBlob(t, shared)
	f.Reset()
	r := try(t, "diff", "-rq", one, two)
	if want := fmt.Sprintf("Files %[1]s/app/version and %[2]s/app/version differ\nFiles %[1]s/usr/lib/lib03.so and %[2]s/usr/lib/lib03.so differ\n", one, two); r.stdout != want {
		t.Errorf("%s prints\n%s%s, not\n%s", r.command, r.stdout, r.stderr, want)
	}
	if n := f.fetched(shared); n != 0 {
		t.Errorf("%d bytes of the shared layer were fetched", n)
	}
	for _, file := range []string{"usr/lib/lib00.so", "etc/os-release", "etc/release"} {
		if a, b := m.stat(t, "%i", "app/_tags/v1/rootfs", file), m.stat(t, "%i", "app/_tags/v2/rootfs", file); a != b {
			t.Errorf("%s is inode %s in one image, %s in the other", file, a, b)
		}
	}
	for _, file := range []string{"usr/lib/lib03.so", "app/version"} {
		if a, b := m.stat(t, "%i", "app/_tags/v1/rootfs", file), m.stat(t, "%i", "app/_tags/v2/rootfs", file); a == b {
			t.Errorf("%s is inode %s in both images", file, a)
		}
	}
}

// TestTablesAreAskedForOnce opens an image of many layers without tables of contents, and
// then each by itself: whether there are some beside them is asked once for all of them,
// and that there are none is an answer.
func TestTablesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	const count = 6
	var layers []layer
	for i := range count {
		layers = append(layers, gzipLayer(t, tarOf(t, regular(fmt.Sprint("file-", i), noise(t, uint64(i), 2*mib)))))
	}
	f := serveFake(t)
	image := imageOf(t, layers...)
	f.addImage("app", "v1", image)
	f.AddReferrer("app", digest.FromString("another"), ocispec.Descriptor{}) // it has the API
	m := mountRegistry(t, f.host)
	if got := output(t, "ls", m.path("app:v1/rootfs")); strings.Count(got, "file-") != count {
		t.Errorf("rootfs holds %q", got)
	}
	for i := range count {
		output(t, "ls", m.path("app:v1/layers", fmt.Sprintf("%02d", i)))
	}
	if n := f.Count(http.MethodGet, "/referrers/"+digest.FromBytes(image.manifest).String()); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
}
