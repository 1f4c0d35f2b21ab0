package mount

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// plainTar is the tar that a layer of a layout holds, however it is compressed.
func plainTar(t testing.TB, layout iofs.FS, l ocispec.Descriptor) []byte {
	t.Helper()
	blob, err := iofs.ReadFile(layout, "blobs/sha256/"+l.Digest.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	var in io.Reader = bytes.NewReader(blob)
	switch {
	case bytes.HasPrefix(blob, []byte{0x1f, 0x8b}):
		in, err = gzip.NewReader(in)
	case bytes.HasPrefix(blob, []byte{0x28, 0xb5, 0x2f, 0xfd}), bytes.HasPrefix(blob, []byte{0x50, 0x2a, 0x4d, 0x18}):
		in, err = zstd.NewReader(in)
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tarListing is what find would print of an unpacked tar with listFormat.
// Hard links to what is in another layer are left out: there is nothing to
// show of them.
func tarListing(t testing.TB, content []byte) []string {
	t.Helper()
	kinds := map[byte]string{
		tar.TypeReg: "f", tar.TypeGNUSparse: "f", tar.TypeDir: "d", tar.TypeSymlink: "l", tar.TypeFifo: "p", tar.TypeChar: "c", tar.TypeBlock: "b",
	}
	entries := make(map[string]string)
	reader := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(header.Name)
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if entries[dir] == "" {
				entries[dir] = "d 755"
			}
		}
		switch {
		case slices.Contains([]string{".prefetch.landmark", ".no.prefetch.landmark", "stargz.index.json"}, name):
		case header.Typeflag == tar.TypeLink:
			if target, ok := entries[path.Clean(header.Linkname)]; ok {
				entries[name] = target
			}
		case header.Typeflag == tar.TypeReg, header.Typeflag == tar.TypeGNUSparse:
			entries[name] = fmt.Sprintf("f %o %d", header.Mode&0o7777, header.Size)
		default:
			entries[name] = fmt.Sprintf("%s %o", kinds[header.Typeflag], header.Mode&0o7777)
		}
	}
	delete(entries, ".")
	var listing []string
	for name, entry := range entries {
		listing = append(listing, name+" "+entry)
	}
	slices.Sort(listing)
	return listing
}

// TestOpenedLayers lists each layer of the images of testdata as its tar does,
// whiteouts among it, and finds it beside the raw layer.
func TestOpenedLayers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := mountRegistry(t, f.host)
	for _, c := range fixtureImages {
		tag := c.tag
		if tag == "" {
			tag = "latest"
		}
		t.Run(c.fixture+":"+tag, func(t *testing.T) {
			layout := f.addFixture(t, c.fixture)
			d, manifest := fixtureManifest(t, layout, tag)
			layers := manifestPath(c.fixture, d) + "/layers"
			names := m.ls(t, layers)
			for i, l := range manifest.Layers {
				opened := fmt.Sprintf("%02d", i)
				raw := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, opened+"-") })
				if raw < 0 || !slices.Contains(names, opened) {
					t.Fatalf("layer %d isn't there, raw and opened: %q", i, names)
				}
				if got := m.stat(t, "%s", layers, names[raw]); got != fmt.Sprint(l.Size) {
					t.Errorf("the raw layer %s has %s bytes, not %d", names[raw], got, l.Size)
				}
				sameListing(t, "layers/"+opened, listing(t, m.path(layers, opened), listFormat...), tarListing(t, plainTar(t, layout, l)))
			}
		})
	}
}

// TestNotOpened shows layers that are no archives as the files they are alone,
// whatever their media type says.
func TestNotOpened(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "artifact")
	m := mountRegistry(t, f.host)
	for _, tag := range []string{"single", "oci10"} { // text; in oci10 its type says tar
		for _, name := range m.ls(t, "artifact:"+tag+"/layers") {
			if !strings.HasPrefix(name, "00-") {
				if r := try(t, "ls", m.path("artifact:"+tag+"/layers", name)); r.code == 0 {
					t.Errorf("in %s, the text is opened as %s: %q", tag, name, r.stdout)
				}
			}
		}
		if got := m.cat(t, "artifact:"+tag+"/files/hello.txt"); !strings.Contains(got, "\n") {
			t.Errorf("the text of %s is %q", tag, got)
		}
	}
}

// TestPulledDirectories compares files/ with what `oras pull` writes, its
// unpacked directories too.
func TestPulledDirectories(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "artifact")
	layout := unpackLayout(t, "artifact")
	m := mountRegistry(t, f.host)
	for _, tag := range []string{"single", "dir", "targz", "several", "oci10", "nofiles"} {
		t.Run(tag, func(t *testing.T) {
			pulled := t.TempDir()
			orasIn(t, pulled, "pull", "--oci-layout", layout+":"+tag)
			files := m.path("artifact:"+tag, "files")
			if r := try(t, "diff", "-r", "--no-dereference", pulled, files); r.code != 0 || r.stdout != "" {
				t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
			}
			if tag != "dir" && tag != "several" {
				return
			}
			// In the directory are the archive's own modes and times. oras leaves
			// those of directories and links as they come.
			attributes := []string{"-type", "f", "-printf", `%P %m %s %TY-%Tm-%Td %TT\0`, "-o", "-type", "d", "-printf", `%P %m\0`, "-o", "-printf", `%P %l\0`}
			sameListing(t, "files/docs", listing(t, files+"/docs", attributes...), listing(t, pulled+"/docs", attributes...))
		})
	}
}

// TestHelmChart shows a chart by the names that `helm pull` gives it, and
// opened.
func TestHelmChart(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	d, manifest := fixtureManifest(t, f.addFixture(t, "helm-chart"), "0.1.0")
	m := mountRegistry(t, f.host)
	files := manifestPath("helm-chart", d) + "/files"
	if got, want := m.ls(t, files), []string{"mychart", "mychart-0.1.0.tgz", "mychart-0.1.0.tgz.prov"}; !slices.Equal(got, want) {
		t.Errorf("files/ holds %q, not %q", got, want)
	}
	for i, name := range []string{"mychart-0.1.0.tgz", "mychart-0.1.0.tgz.prov"} {
		if got := digest.FromString(m.cat(t, files, name)); got != manifest.Layers[i].Digest {
			t.Errorf("%s has the digest %s, not %s", name, got, manifest.Layers[i].Digest)
		}
	}
	unpacked := t.TempDir()
	output(t, "tar", "-xzf", m.path(files, "mychart-0.1.0.tgz"), "-C", unpacked)
	if r := try(t, "diff", "-r", filepath.Join(unpacked, "mychart"), m.path(files, "mychart")); r.code != 0 || r.stdout != "" {
		t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	// As helm and a linter of charts walk it.
	if _, err := os.Stat(filepath.Join(unpacked, "mychart", "Chart.yaml")); err != nil {
		t.Fatal(err)
	}
	inChild(t, "testfs", m.path(files, "mychart"), "Chart.yaml", "values.yaml", "templates/deployment.yaml")
}

// TestArchiveConsistency runs the standard library's test of file systems over
// directories that have neither links to nowhere nor devices.
func TestArchiveConsistency(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "base-gzip")
	f.addFixture(t, "base-esgz")
	m := mountRegistry(t, f.host)
	for _, dir := range []string{"base-gzip:latest/rootfs", "base-gzip:latest/layers/00", "base-esgz:latest/rootfs"} {
		inChild(t, "testfs", m.path(dir, "data"), "numbers.txt", "zeros-128k.bin")
		inChild(t, "testfs", m.path(dir, "usr"), "share/licenses")
		if !strings.Contains(dir, "esgz") {
			inChild(t, "seek", m.path(dir, "many"))
		}
	}
}
