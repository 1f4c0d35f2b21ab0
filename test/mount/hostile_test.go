package mount

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestHostileManifests serves documents that are no manifests, or lie about being
// one: each has a line in the log, and what is beside it goes on working. The
// document is there where the bytes are the digest's and the registry doesn't say
// that they are something else; else there is an error.
func TestHostileManifests(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.AddArtifact("hostile", "good", "application/vnd.example", nil, titled(f.AddBlob("hostile", []byte("good\n")), "good.txt"))
	layers := `"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `","size":2},"layers":[`
	const kind = ocispec.MediaTypeImageManifest
	refused := []string{"huge", "contradicts", "wrongdigest", "dangling"}
	documents := map[string]struct{ mediaType, content string }{
		"huge":         {kind, `{"schemaVersion":2,"annotations":{"a":"` + strings.Repeat("a", 5*mib) + `"}}`},
		"nojson":       {kind, "this is no manifest"},
		"halfjson":     {kind, `{"schemaVersion":2,"layers":[`},
		"empty":        {kind, ""},
		"array":        {kind, "[]"},
		"deep":         {kind, strings.Repeat("[", mib) + strings.Repeat("]", mib)},
		"contradicts":  {kind, `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`},
		"many":         {kind, `{"schemaVersion":2,` + layers + strings.Repeat("{},", mib) + "{}]}"},
		"nodigest":     {kind, `{"schemaVersion":2,` + layers + `{"mediaType":"a/b","digest":"nonsense","size":1}]}`},
		"badalgorithm": {kind, `{"schemaVersion":2,` + layers + `{"mediaType":"a/b","digest":"md5:` + strings.Repeat("0", 32) + `","size":1}]}`},
		"updigest":     {kind, `{"schemaVersion":2,` + layers + `{"mediaType":"a/b","digest":"sha256:../../../../etc/passwd","size":1}]}`},
		"negative":     {kind, `{"schemaVersion":2,` + layers + `{"mediaType":"a/b","digest":"sha256:` + strings.Repeat("0", 64) + `","size":-1}]}`},
	}
	for tag, c := range documents {
		f.AddManifest("hostile", tag, c.mediaType, []byte(c.content))
	}
	lie := digest.FromString("what the digest is of")
	f.AddWrongManifest("hostile", kind, lie, []byte(`{"schemaVersion":2}`))
	f.Tag("hostile", lie, "wrongdigest")
	f.Tag("hostile", digest.FromString("nowhere"), "dangling")

	m := prepare(t, f.host, "--timeout", "5s")
	m.binary = orasfsLean
	m.mount(t)
	tags := m.ls(t, "hostile/_tags")
	if len(tags) != 15 {
		t.Fatalf("%d tags are listed: %q", len(tags), tags)
	}
	for _, tag := range tags {
		if tag == "good" {
			continue
		}
		t.Run(tag, func(t *testing.T) {
			r := try(t, "find", m.path("hostile/_tags", tag)+"/", "-type", "f")
			if (r.code != 0) != slices.Contains(refused, tag) {
				t.Errorf("exit code %d, and it is shown as %q", r.code, clip(r.stdout))
			}
			if r.code == 0 {
				if got := m.cat(t, "hostile/_tags", tag, "manifest.json"); got != documents[tag].content {
					t.Errorf("the document has %d bytes", len(got))
				}
			}
			if link := try(t, "readlink", m.path("hostile/_tags", tag)); link.code == 0 && tag != "dangling" {
				m.logs(t, filepath.Base(strings.TrimSpace(link.stdout)))
			}
			if got := m.cat(t, "hostile:good/files/good.txt"); got != "good\n" {
				t.Errorf("after it, the good one holds %q", got)
			}
		})
	}
	if peak := m.peak(t); peak > 200*mib {
		t.Errorf("the daemon had %d MiB of memory", peak/mib)
	}
}

// TestHostileTitles gives layers titles that can't be names of files, or lead
// out of the directory. They are left out of files/, with a line in the log,
// and are in layers/ all the same.
func TestHostileTitles(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	titles := []string{
		"../x", "/etc/passwd", "a/../../x", "..", ".", "/", "nul\x00nul", strings.Repeat("n", 300), "deep/" + strings.Repeat("d/", 3000) + "x",
		"good.txt", "same", "same", "file", "file/below", "dir/below", "dir", "line\nbreak",
	}
	var layers []ocispec.Descriptor
	for i, title := range titles {
		layers = append(layers, titled(f.AddBlob("hostile", fmt.Appendf(nil, "layer %d\n", i)), title))
	}
	pushed := f.AddArtifact("hostile", "v1", "application/vnd.example", nil, layers...)
	m := mountRegistry(t, f.host)
	artifact := "hostile/_manifests/sha256/" + pushed.Digest.Encoded()

	found := strings.Split(strings.TrimSuffix(output(t, "find", m.path(artifact, "files"), "-printf", `%P\0`), "\x00"), "\x00")
	slices.Sort(found)
	if want := []string{"", "dir", "dir/below", "file", "good.txt", "line\nbreak", "same"}; !slices.Equal(found, want) {
		t.Errorf("files/ holds %q, not %q", found, want)
	}
	for file, want := range map[string]string{"good.txt": "layer 9\n", "same": "layer 10\n", "file": "layer 12\n", "dir/below": "layer 14\n"} {
		if got := m.cat(t, artifact, "files", file); got != want {
			t.Errorf("files/%s holds %q, not %q", file, got, want)
		}
	}
	for _, said := range []string{"../x", "/etc/passwd", "nul", strings.Repeat("n", 300), "same", "file/below", "dir"} {
		m.logs(t, "title", said, pushed.Digest.Encoded())
	}

	names := strings.Split(strings.TrimSuffix(output(t, "find", m.path(artifact, "layers"), "-type", "f", "-printf", `%P\0`), "\x00"), "\x00")
	slices.Sort(names)
	if len(names) != len(titles) {
		t.Fatalf("layers/ holds %q", names)
	}
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("%02d-", i)) || strings.Contains(name, "/") || len(name) > 255 {
			t.Errorf("layer %d is called %q", i, name)
		}
		if got, want := m.cat(t, artifact, "layers", name), fmt.Sprintf("layer %d\n", i); got != want {
			t.Errorf("layers/%s holds %q, not %q", name, got, want)
		}
	}
}

// TestLyingDescriptors gives layers sizes and inline data that don't fit the
// blob that the digest names: never a wrong byte.
func TestLyingDescriptors(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	content := []byte("hello world\n")
	blob := f.AddBlob("hostile", content)
	big := f.AddGenerated("hostile", 3, large)
	lie := func(d ocispec.Descriptor, title string, size int64, data []byte) ocispec.Descriptor {
		d = titled(d, title)
		d.Size, d.Data = size, data
		return d
	}
	f.AddArtifact("hostile", "sizes", "application/vnd.example", nil,
		lie(blob, "shorter", 5, nil), lie(blob, "longer", 100, nil), lie(blob, "none", 0, nil), lie(blob, "huge", 1<<62, nil),
		lie(big, "bigshorter", large-1, nil), lie(big, "biglonger", large+1, nil), lie(big, "bigsmall", 12, nil))
	f.AddArtifact("hostile", "data", "application/vnd.example", nil,
		lie(blob, "wrong", 12, []byte("HELLO WORLD\n")), lie(blob, "right", 12, content), lie(blob, "short", 12, []byte("hello")))
	m := mountRegistry(t, f.host, "--timeout", "5s")

	for _, title := range m.ls(t, "hostile:sizes/files/") {
		t.Run(title, func(t *testing.T) {
			file := m.path("hostile:sizes/files", title)
			// What is served can't match the digest and the size both.
			r := try(t, "cat", file)
			if r.code == 0 || !strings.Contains(r.stderr, ioError) {
				t.Errorf("exit code %d, not an I/O error\n%s%s", r.code, clip(r.stdout), r.stderr)
			}
			if strings.HasPrefix(title, "big") {
				return
			}
			if r.stdout != "" {
				t.Errorf("%q was served", clip(r.stdout))
			}
		})
	}
	m.logs(t, blob.Digest.Encoded(), "EIO")
	m.logs(t, big.Digest.Encoded(), "EIO")
	for _, title := range []string{"wrong", "right", "short"} {
		if got := m.cat(t, "hostile:data/files", title); got != string(content) {
			t.Errorf("with %s data the file holds %q", title, got)
		}
	}
	// The blob by its digest, with the size that the registry gives.
	if got := m.cat(t, "hostile/_blobs/"+blob.Digest.String()); got != string(content) {
		t.Errorf("the blob holds %q", got)
	}
}

// TestHostileAnnotations gives a manifest annotations that Linux can't hold as
// extended attributes.
func TestHostileAnnotations(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	pushed := f.AddArtifact("hostile", "v1", "application/vnd.example", map[string]string{
		"good":                             "value",
		"":                                 "no name",
		strings.Repeat("k", 250):           "255 bytes with the prefix",
		strings.Repeat("k", 251):           "256 bytes",
		"nul\x00nul":                       "NUL in the name",
		"long":                             strings.Repeat("v", 70_000),
		"bytes":                            "NUL \x00 in the value",
		"oci.digest":                       "sha256:wrong",
		"org.opencontainers.image.created": "yesterday",
	})
	m := mountRegistry(t, f.host)
	artifact := "hostile/_manifests/sha256/" + pushed.Digest.Encoded()
	listed := m.listXattrs(t, artifact)
	for _, want := range []string{"user.good", "user." + strings.Repeat("k", 250), "user.bytes", "user.oci.digest"} {
		if !slices.Contains(listed, want) {
			t.Errorf("%s isn't listed: %q", want, listed)
		}
	}
	for _, name := range listed {
		value := m.xattr(t, name, artifact)
		if name == "user.oci.digest" && value != pushed.Digest.String() {
			t.Errorf("user.oci.digest is %q", value)
		}
		if name == "user.bytes" && value != "NUL \x00 in the value" {
			t.Errorf("user.bytes is %q", value)
		}
	}
	if got := m.stat(t, "%Y", artifact); got != "0" {
		t.Errorf("without a time it is of %s", got)
	}
	if got := digest.FromString(m.cat(t, artifact, "manifest.json")); got != pushed.Digest {
		t.Errorf("manifest.json has the digest %s", got)
	}
}

// TestHostileNames lists repositories and tags that can't be names.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	good := f.AddArtifact("good/repo", "v1", "application/vnd.example", nil, titled(f.AddBlob("good/repo", []byte("good\n")), "good.txt"))
	f.AddRepositories("../up", "/absolute", "UPPER", "a//b", ".", "..", "good/..", "good/_tags", "nul\x00nul", "good/"+strings.Repeat("n", 300), "")
	f.Tag("good/repo", good.Digest, "../up", "..", ".", "a/b", "", "nul\x00", strings.Repeat("t", 129), "-dash", "ok-tag")
	m := mountRegistry(t, f.host)

	if got := m.ls(t); !slices.Equal(got, []string{"good"}) {
		t.Errorf("the registry lists %q", got)
	}
	if got := m.ls(t, "good"); !slices.Equal(got, []string{"repo"}) {
		t.Errorf("the namespace lists %q", got)
	}
	if got := m.ls(t, "good/repo/_tags"); !slices.Equal(got, []string{"ok-tag", "v1"}) {
		t.Errorf("_tags lists %q", got)
	}
	if got := m.cat(t, "good/repo:ok-tag/files/good.txt"); got != "good\n" {
		t.Errorf("the file holds %q", got)
	}
}

// TestOtherDocuments shows an index of what has no platform.
func TestOtherDocuments(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	child := f.AddArtifact("app", "child", "application/vnd.example", nil)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child}}
	index.SchemaVersion = 2
	document, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	f.AddManifest("app", "index", index.MediaType, document)
	m := mountRegistry(t, f.host)
	if got := m.ls(t, "app:index/"); !slices.Equal(got, []string{"layout", "layout.tar", "manifest.json", "platforms", "referrers"}) {
		t.Errorf("the index lists %q", got)
	}
	if got := m.cat(t, "app:index/manifest.json"); got != string(document) {
		t.Errorf("the index is %q, not %q", got, document)
	}
	m.hasXattrs(t, described(ocispec.Descriptor{
		MediaType: index.MediaType, Digest: digest.FromBytes(document), Size: int64(len(document)),
	}), "app:index/")
	if got := m.ls(t, "app:index/../"+child.Digest.Encoded()); !slices.Equal(got, []string{"config.json", "files", "layers", "layout", "layout.tar", "manifest.json", "referrers"}) {
		t.Errorf("the index's manifest lists %q", got)
	}
}
