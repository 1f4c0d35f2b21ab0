package mount

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestLayoutAsksNothing lists a layout, and learns the size of its tar: that needs
// no blob, and of an index the manifests alone.
func TestLayoutAsksNothing(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	f.addFixture(t, "multi")
	m := mountRegistry(t, f.host)
	for _, tag := range []string{"app:v1", "multi:latest"} {
		output(t, "ls", "-lR", m.path(tag, "layout/"))
		m.stat(t, "%s", tag, "layout.tar")
	}
	for _, r := range f.Requests() {
		// The time that is shown is in an image's config.
		if strings.Contains(r.Path, "/blobs/") && r.Bytes > 4096 {
			t.Errorf("%s %s: %d bytes", r.Method, r.Path, r.Bytes)
		}
	}
	if n := f.Count("GET", "/v2/app/blobs/"); n != 0 {
		t.Errorf("%d blobs are fetched", n)
	}

	// Listing the index's directory needs no more than the manifest for the host.
	f.Reset()
	other := mountRegistry(t, f.host)
	other.ls(t, "multi:latest/")
	if n := f.Count("GET", "/v2/multi/manifests/sha256:"); n != 2 {
		t.Errorf("for the index's directory %d manifests are fetched, not 2", n)
	}
}

// TestLayoutTar compares layout.tar, unpacked, with layout/, and parts of it with
// the whole.
func TestLayoutTar(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "multi")
	f.addFile(t, "app", 1, 9<<20+77)
	f.AddArtifact("empty", "v1", "application/vnd.example", nil, titled(f.AddBlob("empty", nil), "nothing"))
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	for _, manifest := range []string{"multi/_tags/latest", "app/_tags/v1", "empty/_tags/v1"} {
		whole := filepath.Join(t.TempDir(), "whole.tar")
		output(t, "cp", m.path(manifest, "layout.tar"), whole)
		unpacked := t.TempDir()
		output(t, "tar", "-C", unpacked, "-xf", whole)
		output(t, "diff", "-r", unpacked, m.path(manifest, "layout"))

		other := mountRegistry(t, f.host) // what is at the end is read first
		for _, skip := range []string{"4096", "3", "2", "0", "2176"} {
			output(t, "cmp", "-i", skip+"K", whole, other.path(manifest, "layout.tar"))
		}
		f.Reset()
		output(t, "cmp", whole, m.path(manifest, "layout.tar"))
		output(t, "diff", "-r", unpacked, m.path(manifest, "layout"))
		f.asksNothing(t, "a second time")
	}
}

// TestLayoutInodes finds one inode for a blob by its digest, wherever it is.
func TestLayoutInodes(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, _ := f.addFile(t, "app", 1, small)
	f.AddArtifact("app", "other", "application/vnd.other", nil, layer)
	m := mountRegistry(t, f.host)
	blob := "blobs/sha256/" + layer.Digest.Encoded()
	want := m.stat(t, "%i %s %Y", "app/_"+blob)
	for _, tag := range []string{"v1", "other"} {
		if got := m.stat(t, "%i %s %Y", "app/_tags", tag, "layout", blob); got != want {
			t.Errorf("%s: inode, size and time are %s, and in _blobs %s", tag, got, want)
		}
	}
}

// TestLayoutLeavesOut has an index of which the registry lacks a manifest, and an
// image with a layer that isn't distributed.
func TestLayoutLeavesOut(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer := f.AddBlob("app", []byte("layer"))
	foreign := ocispec.Descriptor{
		MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digest.FromString("foreign"), Size: 7,
		URLs: []string{"https://example.com/layer"},
	}
	here := f.AddArtifact("app", "", "application/vnd.example", nil, layer, foreign)
	late := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, ocispec.MediaTypeImageManifest, asJSON(t, layer))
	gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(late), Size: int64(len(late))}
	index, err := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{here, gone, here}})
	if err != nil {
		t.Fatal(err)
	}
	index = []byte(strings.Replace(string(index), `"schemaVersion":0`, `"schemaVersion":2`, 1))
	root := f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, index)
	m := mountRegistry(t, f.host, "--tag-ttl", "1ms")
	want := []string{root.Digest.Encoded(), here.Digest.Encoded(), layer.Digest.Encoded(), digest.FromString("{}").Encoded()}
	slices.Sort(want)
	if got := m.ls(t, "app/_tags/v1/layout/blobs/sha256"); !slices.Equal(got, want) {
		t.Errorf("the layout has\n%q, want\n%q", got, want)
	}
	m.logs(t, "manifest left out of the layout", gone.Digest.String())
	output(t, "tar", "-tf", m.path("app/_tags/v1/layout.tar"))

	// It is there once the registry has it; a denial holds for a second.
	size := m.stat(t, "%s", "app/_tags/v1/layout.tar")
	f.AddManifest("app", "", ocispec.MediaTypeImageManifest, late)
	time.Sleep(1100 * time.Millisecond)
	if got := m.ls(t, "app/_tags/v1/layout/blobs/sha256"); len(got) != len(want)+1 {
		t.Errorf("the whole index's layout has %q", got)
	}
	if got := m.stat(t, "%s", "app/_tags/v1/layout.tar"); got == size {
		t.Errorf("layout.tar has %s bytes with and without a manifest", got)
	}
}

// TestLayoutOfWhatHasNoMediaType has an index that says of a manifest and of a blob
// nothing but their digests: the layout holds them, and what the manifest needs.
func TestLayoutOfWhatHasNoMediaType(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, content := f.AddBlob("app", []byte("layer")), f.AddBlob("app", []byte("content"))
	child := f.AddArtifact("app", "", "application/vnd.example", nil, layer)
	f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d},{"digest":%q,"size":%d}]}`,
		child.Digest, child.Size, content.Digest, content.Size))
	m := mountRegistry(t, f.host)
	listed := output(t, "tar", "-tf", m.path("app/_tags/v1/layout.tar"))
	for _, d := range []digest.Digest{child.Digest, layer.Digest, content.Digest} {
		if !strings.Contains(listed, d.Encoded()) {
			t.Errorf("layout.tar lacks %s:\n%s", d, listed)
		}
	}
	if got := m.cat(t, "app/_tags/v1/layout/blobs/sha256", content.Digest.Encoded()); got != "content" {
		t.Errorf("the blob is %q", got)
	}
	orasIn(t, t.TempDir(), "pull", "--oci-layout", m.path("app/_tags/v1/layout.tar")+"@"+child.Digest.String())
}

// TestLayoutBounds has an index of more manifests than a layout may have: none of
// them is asked for.
func TestLayoutBounds(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	manifests := make([]ocispec.Descriptor, 1025)
	for i := range manifests {
		manifests[i] = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 2}
	}
	list, err := json.Marshal(manifests)
	if err != nil {
		t.Fatal(err)
	}
	f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":%s}`, list))
	m := mountRegistry(t, f.host)
	fails(t, ioError, "ls", m.path("app/_tags/v1/layout"))
	fails(t, ioError, "cat", m.path("app/_tags/v1/layout.tar"))
	m.logs(t, "list layout", "more than 1024 manifests")
	if n := f.Count("GET", "/manifests/sha256:"); n != 1 {
		t.Errorf("%d manifests are fetched, not the index alone", n)
	}
	m.ls(t, "app/_tags/v1/platforms")
}

// TestLayoutOfLargeManifests has an index whose manifests are more than a layout
// holds together: they aren't all read, and not all held.
func TestLayoutOfLargeManifests(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	padding := strings.Repeat(" ", 4<<20-1000)
	var manifests []ocispec.Descriptor
	for i := range 60 {
		manifests = append(manifests, f.AddManifest("app", "", ocispec.MediaTypeImageManifest,
			fmt.Appendf(nil, `{"schemaVersion":2,"layers":[],"annotations":{"no":"%d"}}%s`, i, padding)))
	}
	f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":%s}`, asJSON(t, manifests)))
	m := prepare(t, f.host, "--memory", "64MiB")
	m.binary = orasfsLean
	m.mount(t)
	fails(t, ioError, "stat", m.path("app/_tags/v1/layout.tar"))
	m.logs(t, "manifests of more than 67108864 bytes")
	if n := f.Count("GET", "/v2/app/manifests/sha256:"); n > 1+16+8+1 {
		t.Errorf("%d manifests are fetched", n)
	}
	if peak := m.peak(t); peak > (64+150)<<20 {
		t.Errorf("the peak is %d MiB", peak>>20)
	}
}

// TestLayoutFaults has a layout whose parts can't be had, or are wrong: reading it
// to its end never succeeds.
func TestLayoutFaults(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	right := []byte(strings.Repeat("right", 100))
	wrong := f.AddWrongBlob("wrong", digest.FromBytes(right), []byte(strings.Repeat("wrong", 100)))
	f.AddArtifact("wrong", "v1", "application/vnd.example", nil, wrong)
	large, _ := f.addFile(t, "large", 1, 9<<20)
	f.Inject(fakeregistry.Fault{Path: "/v2/large/blobs/" + large.Digest.String(), Flip: true, FlipAt: 8 << 20})
	index := f.AddManifest("denied", "v1", ocispec.MediaTypeImageIndex,
		[]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+digest.FromString("x").String()+`","size":2}]}`))
	f.Inject(fakeregistry.Fault{Path: "/v2/denied/manifests/" + digest.FromString("x").String(), Status: http.StatusForbidden})
	m := mountRegistry(t, f.host)
	for _, repo := range []string{"wrong", "large"} {
		fails(t, ioError, "cat", m.path(repo, "_tags/v1/layout.tar"))
		fails(t, ioError, "cp", "-r", m.path(repo, "_tags/v1/layout"), t.TempDir())
	}
	m.logs(t, "read layout.tar", "digest")
	fails(t, noAccess, "stat", m.path("denied/_tags/v1/layout.tar"))
	fails(t, noAccess, "ls", m.path("denied/_tags/v1/layout"))
	m.logs(t, "list layout", index.Digest.String())
	if got := m.ls(t, "denied/_tags/v1/"); !slices.Contains(got, "layout.tar") {
		t.Errorf("the index lists %q", got)
	}
	m.cat(t, "denied/_tags/v1/manifest.json")
}

// TestPinnedLayout mounts the layout of one artifact.
func TestPinnedLayout(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "multi")
	m := mountRegistry(t, f.host+"/multi:latest", "--view", "layout")
	if got, want := m.ls(t), []string{"blobs", "index.json", "manifest.json", "oci-layout"}; !slices.Equal(got, want) {
		t.Errorf("the mount lists %q, want %q", got, want)
	}
	dir := t.TempDir()
	output(t, "cp", "-r", m.dir, path.Join(dir, "layout"))
	output(t, "chmod", "-R", "u+w", dir)
	for _, platform := range []string{"linux/amd64", "linux/arm/v7"} {
		got := orasIn(t, dir, "manifest", "fetch", "--oci-layout", m.dir+":latest", "--platform", platform)
		if want := orasIn(t, dir, "manifest", "fetch", "--oci-layout", "layout:latest", "--platform", platform); got != want || got == "" {
			t.Errorf("%s: oras fetches %q from the mount, and %q from a copy", platform, got, want)
		}
	}
}

// TestLayoutTarOfWrongBlob has a blob that is wrong once and right when it is
// fetched again: what has got wrong bytes of it doesn't end well.
func TestLayoutTarOfWrongBlob(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, _ := f.addFile(t, "app", 1, 24<<20)
	m := mountRegistry(t, f.host)
	remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + layer.Digest.String(), Flip: true, FlipAt: 100})
	go func() { // right from the first failure on
		for !strings.Contains(m.log(t), "doesn't match its digest") && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		remove()
	}()
	fails(t, ioError, "cat", m.path("app/_tags/v1/layout.tar"))
	remove()
	unpacked := t.TempDir()
	output(t, "tar", "-C", unpacked, "-xf", m.path("app/_tags/v1/layout.tar"))
	output(t, "diff", "-r", unpacked, m.path("app/_tags/v1/layout"))
}

// TestLayoutTarOfTwoContents has a program stop in the middle of a blob that is wrong,
// look at others, and go on once the blob was found wrong, fetched again, and read
// by another program: it doesn't get the rest of the right one.
func TestLayoutTarOfTwoContents(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, _ := f.addFile(t, "app", 1, 24<<20)
	layers := []ocispec.Descriptor{layer}
	for i := range 8 {
		layers = append(layers, f.AddBlob("app", fmt.Appendf(nil, "small %d", i)))
	}
	f.AddArtifact("app", "v1", "application/vnd.example", nil, layers...)
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	path := m.path("app/_tags/v1/layout.tar")
	remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + layer.Digest.String(), Flip: true, FlipAt: 100})

	cmd := taskCommand(t, "parts", path, "0:4194304", "-8192:8192", "wait", "4194304:20971520")
	goOn, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	says, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader := start(t, cmd)
	if said, err := bufio.NewReader(says).ReadString('\n'); err != nil {
		t.Fatalf("the first parts aren't read: %q, %v", said, err)
	}
	fails(t, ioError, "cat", path)
	m.logs(t, "doesn't match its digest", layer.Digest.String())
	remove()
	eventually(t, "the right blob is read", func() bool { return try(t, "cat", path).code == 0 })
	if err := goOn.Close(); err != nil {
		t.Fatal(err)
	}
	if state := reader.wait(t); state.Success() || !strings.Contains(reader.stderr.String(), "input/output error") {
		t.Errorf("wrong bytes, and then right ones: %s\n%s", state, reader.stderr.String())
	}
}

// TestLayoutOfLyingSize has a manifest that gives a blob another size than it has:
// the blob is whole where a manifest tells its size.
func TestLayoutOfLyingSize(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 1, 1000)
	for tag, size := range map[string]int64{"short": 500, "long": 2000} {
		lying := layer
		lying.Size = size
		f.AddArtifact("app", tag, "application/vnd.example", nil, lying)
	}
	m := mountRegistry(t, f.host)
	blob := "layout/blobs/sha256/" + layer.Digest.Encoded()
	for _, tag := range []string{"short", "long"} {
		m.stat(t, "%s", "app/_tags", tag, blob)
		m.same(t, original, m.path("app/_tags/v1", blob))
		fails(t, ioError, "cat", m.path("app/_tags", tag, blob))
		m.same(t, original, m.path("app/_tags/v1", blob))
	}
}

// TestLayoutIncomplete counts what a manifest that is gone costs: one request and
// one line until it is asked for again. The tar is whole all the same.
func TestLayoutIncomplete(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	here := f.AddArtifact("app", "", "application/vnd.example", nil, f.AddBlob("app", []byte("layer")))
	late := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":` + string(asJSON(t, here)) + `,"layers":[]}`)
	gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(late), Size: int64(len(late))}
	f.AddManifest("app", "v1", ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[%s,%s]}`, asJSON(t, here), asJSON(t, gone)))
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	output(t, "ls", "-lR", m.path("app/_tags/v1/layout"))
	output(t, "tar", "-tf", m.path("app/_tags/v1/layout.tar"))
	if n := f.Count("", "/manifests/"+gone.Digest.String()); n != 1 {
		t.Errorf("%d requests for what is gone", n)
	}
	if n := strings.Count(m.log(t), "manifest left out of the layout"); n != 1 {
		t.Errorf("%d lines of what is gone", n)
	}
}

// TestLayoutOfManyBlobs lists what is too much to be looked up one by one anew.
func TestLayoutOfManyBlobs(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layers := make([]ocispec.Descriptor, 2500)
	for i := range layers {
		layers[i] = ocispec.Descriptor{MediaType: "application/vnd.x", Digest: digest.FromString(fmt.Sprint(i)), Size: 1}
	}
	f.AddArtifact("app", "v1", "application/vnd.example", nil, layers...)
	m := mountRegistry(t, f.host)
	if got := strings.Count(output(t, "ls", "-l", m.path("app/_tags/v1/layout/blobs/sha256")), "\n"); got != 2500+3 {
		t.Errorf("%d lines", got)
	}
}
