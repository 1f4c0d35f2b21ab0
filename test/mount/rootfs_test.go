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

// TestRootfs compares the root file system of each image of testdata with what
// it must be: at first, a second time, and after a restart, when nothing may be
// asked of the registry any more.
func TestRootfs(t *testing.T) {
	needRoot(t) // files of others that nobody may read
	for _, c := range fixtureImages {
		tag := c.tag
		if tag == "" {
			tag = "latest"
		}
		t.Run(c.fixture+":"+tag, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			manifest, _ := fixtureManifest(t, f.addFixture(t, c.fixture), tag)
			m := mountRegistry(t, f.host)
			rootfs := m.path(manifestPath(c.fixture, manifest), "rootfs")
			output(t, "ls", rootfs) // its own attributes are the manifest's until somebody looks in
			if c.spec[0] == "" {
				sameBase(t, rootfs, c.allowed...)
			} else {
				sameTree(t, fixtureSpec(t, c.spec), rootfs, c.allowed...)
			}
			f.Reset()
			sum := sumOfTar(t, rootfs)
			f.asksNothing(t, "a second time")
			m.restart(t)
			f.Reset()
			output(t, "ls", rootfs)
			if got := sumOfTar(t, rootfs); got != sum {
				t.Errorf("after a restart tar makes another archive of it: %s, not %s", got, sum)
			}
			f.asksNothing(t, "after a restart")
		})
	}
}

// TestTarDialects looks at what the specification of the dialects can't say.
func TestTarDialects(t *testing.T) {
	f := serveFake(t)
	f.addFixture(t, "tar-dialects")
	m := mountRegistry(t, f.host)
	for tag, dialects := range map[string]struct{ links, devices []string }{
		"latest": {
			[]string{"d-v7", "d-oldgnu", "d-gnu", "d-ustar", "d-pax", "d-pax-0.0", "d-pax-0.1", "d-pax-1.0"},
			[]string{"d-oldgnu", "d-gnu", "d-pax-0.0", "d-pax-0.1", "d-pax-1.0"},
		},
		"gnu-sparse": {[]string{"d-gnu-sparse", "d-oldgnu-sparse"}, []string{"d-gnu-sparse", "d-oldgnu-sparse"}},
	} {
		rootfs := m.path("tar-dialects:"+tag, "rootfs")
		var groups [][]string
		for _, d := range dialects.links {
			groups = append(groups, []string{d + "/hard", d + "/hello.txt"})
		}
		linkedLike(t, rootfs+"/", groups)
		for _, d := range dialects.devices {
			if got, want := deviceOf(t, filepath.Join(rootfs, d, "null")), "character special file 1:3"; got != want {
				t.Errorf("%s/null is a %s, not a %s", d, got, want)
			}
		}
	}
}

// TestRunFromImage runs programs of an image: one from the mount, and a shell
// that has the root file system for its root.
func TestRunFromImage(t *testing.T) {
	needRoot(t)
	f := serveFake(t)
	f.addFixture(t, "base-gzip")
	m := mountRegistry(t, f.host)
	rootfs := m.path("base-gzip:latest/rootfs")
	// A shell runs it: while this process itself starts a program its garbage collector,
	// and with it the registry that the program's bytes come from, may have to wait for
	// that.
	if got := output(t, "sh", "-c", `exec "$0" echo hello`, rootfs+"/bin/busybox"); got != "hello\n" {
		t.Errorf("echo of the image prints %q", got)
	}
	if got, want := output(t, "chroot", rootfs, "/bin/sh", "-c", "cat /etc/os-release && ls /many | busybox wc -l"),
		m.cat(t, "base-gzip:latest/rootfs/etc/os-release")+"300\n"; got != want {
		t.Errorf("in the chroot it prints %q, not %q", got, want)
	}
	// What the mode says and the mount disarms.
	if got := m.stat(t, "%a", "base-gzip:latest/rootfs/modes/setuid"); got != "4755" {
		t.Errorf("the setuid file has mode %s", got)
	}
	fails(t, noAccess, "cat", rootfs+"/special/null")
}

// TestRootfsByName finds the same root file system by every name of the image.
func TestRootfsByName(t *testing.T) {
	f := serveFake(t)
	manifest, _ := fixtureManifest(t, f.addFixture(t, "base-gzip"), "latest")
	m := mountRegistry(t, f.host)
	byDigest := m.stat(t, "%i", manifestPath("base-gzip", manifest), "rootfs/bin/busybox")
	for _, name := range []string{"base-gzip/_tags/latest", "base-gzip:latest", "base-gzip@" + manifest.String()} {
		if got := m.stat(t, "%i", name, "rootfs/bin/busybox"); got != byDigest {
			t.Errorf("busybox is inode %s by %s, %s by digest", got, name, byDigest)
		}
		m.ls(t, name)
	}
}

// TestNoRootfs lists no root file system where there is no image.
func TestNoRootfs(t *testing.T) {
	f := serveFake(t)
	f.addFixture(t, "artifact")
	f.addFixture(t, "helm-chart")
	m := mountRegistry(t, f.host)
	for _, name := range []string{"artifact:dir", "artifact:oci10", "artifact:several", "helm-chart:0.1.0"} {
		for _, entry := range m.ls(t, name+"/") {
			if entry == "rootfs" {
				t.Errorf("%s has a root file system", name)
			}
		}
		fails(t, notThere, "stat", m.path(name, "rootfs"))
	}
}
