package resolver

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// typesOf are the artifact types of what refers to a tag, sorted.
func typesOf(t *testing.T, l *Layout, tag, artifactType string) []string {
	t.Helper()
	desc, err := l.Resolve(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.Referrers(t.Context(), desc, artifactType)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, referrer := range found {
		types = append(types, referrer.ArtifactType)
	}
	slices.Sort(types)
	return types
}

func TestLayoutReferrers(t *testing.T) {
	const notation, bundle = "application/vnd.cncf.notary.signature", "application/vnd.dev.sigstore.bundle.v0.3+json"
	for _, test := range []struct {
		fixture, tag, artifactType string
		want                       []string
	}{
		{"artifact", "single", "", []string{"application/spdx+json", "application/vnd.orasfs.scan.v1+json"}},
		{"artifact", "single", "application/spdx+json", []string{"application/spdx+json"}},
		{"artifact", "single", "application/none", nil},
		{"artifact", "dir", "", nil},
		{"signed", "amd64", "", []string{notation, notation, "application/vnd.dev.cosign.artifact.sig.v1+json", bundle, bundle}},
		{"signed", "amd64", notation, []string{notation, notation}},
		{"signed", "v1", "", nil},
	} {
		files := fixture(t, test.fixture)
		for _, path := range []string{unpack(t, files), packed(t, files)} {
			l := openLayout(t, path)
			for range 2 { // found, and kept
				if got := typesOf(t, l, test.tag, test.artifactType); !slices.Equal(got, test.want) {
					t.Errorf("%s:%s has the referrers %q, want %q", test.fixture, test.tag, got, test.want)
				}
			}
		}
	}
}

func TestLayoutReferrerSaysWhatItIs(t *testing.T) {
	l := openLayout(t, unpack(t, fixture(t, "artifact")))
	subject, err := l.Resolve(t.Context(), "single")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		found, err := l.Referrers(t.Context(), subject, "application/vnd.orasfs.scan.v1+json")
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		got := found[0]
		if got.Digest != "sha256:3f5c867735a877597da7de44a3369f4c7748806ccbd6a264cc7435a002461f9e" || got.Size != 915 ||
			got.MediaType != typeManifest || got.Annotations["result"] != "clean" {
			t.Errorf("%+v", got)
		}
		clear(got.Annotations) // they are the caller's
	}
}

// refers is a manifest of a type that refers to another.
func refers(artifactType, subject string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"artifactType":%q,"layers":[],"subject":%s}`, artifactType, described(typeManifest, subject))
}

// tagReferrers is the annotation of the tag that takes the API's place.
func tagReferrers(subject string) string {
	return named("sha256-" + digest.FromString(subject).Encoded())
}

// What is broken, missing or no manifest doesn't hide the others.
func TestLayoutReferrersBesideBroken(t *testing.T) {
	a, b, gone, wrong := refers("application/a", plainManifest), refers("application/b", plainManifest), refers("application/gone", plainManifest), refers("application/wrong", plainManifest)
	invalid := `{"schemaVersion":2,"layers":{},"subject":` + described(typeManifest, plainManifest) + `}`
	inner := indexOf(described(typeManifest, b), described(typeManifest, gone), described(typeManifest, a))
	dir := layoutOf(t, []string{
		described(typeManifest, plainManifest, named("v1")), described(typeManifest, wrong), described(typeManifest, invalid),
		described(typeIndex, a), described(typeIndex, inner), described("text/plain", "no manifest"), described(typeManifest, a),
		described(typeManifest, "a broken tag", tagReferrers(plainManifest)),
	}, plainManifest, a, b, invalid, inner, "no manifest")
	put(t, dir, BlobPath(digest.FromString(wrong)), refers("application/x", plainManifest))
	var log bytes.Buffer
	l, err := OpenLayout(t.Context(), dir, debugLog(&log))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // read only
	if got := typesOf(t, l, "v1", ""); !slices.Equal(got, []string{"application/a", "application/b"}) {
		t.Errorf("%q", got)
	}
	if lines := strings.Count(log.String(), "subjects are unknown"); lines != 1 || !strings.Contains(log.String(), "manifests=2") {
		t.Errorf("log:\n%s", &log)
	}
	// What was broken and isn't any more is found.
	put(t, dir, BlobPath(digest.FromString(wrong)), wrong)
	if got := typesOf(t, l, "v1", ""); !slices.Equal(got, []string{"application/a", "application/b", "application/wrong"}) {
		t.Errorf("%q", got)
	}
}

// The tag that takes the API's place lists what nothing else shows.
func TestLayoutReferrersByTag(t *testing.T) {
	a, gone := refers("application/a", plainManifest), refers("application/gone", plainManifest)
	tag := indexOf(described(typeManifest, gone, `"artifactType":"application/gone"`), described(typeManifest, a, `"artifactType":"application/other"`))
	l := openLayout(t, layoutOf(t, []string{
		described(typeManifest, plainManifest, named("v1")), described(typeIndex, tag, tagReferrers(plainManifest)),
	}, plainManifest, a, tag))
	if got := typesOf(t, l, "v1", ""); !slices.Equal(got, []string{"application/a", "application/gone"}) {
		t.Errorf("%q: each once, as its own document says", got)
	}

	for name, tag := range map[string]string{"no index": manifestNo(1), "broken": `{"schemaVersion":2,"manifests":[{}]}`} {
		l := openLayout(t, layoutOf(t, []string{
			described(typeManifest, plainManifest, named("v1")), described(typeIndex, tag, tagReferrers(plainManifest)),
		}, plainManifest, tag))
		if got := typesOf(t, l, "v1", ""); len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A tag has at most 128 characters: the digest is cut.
func TestLayoutReferrersByTagSHA512(t *testing.T) {
	a := refers("application/a", plainManifest)
	tag := indexOf(described(typeManifest, a, `"artifactType":"application/a"`))
	d := digest.SHA512.FromString(plainManifest)
	l := openLayout(t, layoutOf(t, []string{described(typeIndex, tag, named("sha512-"+d.Encoded()[:64]))}, tag))
	if found, err := l.Referrers(t.Context(), ocispec.Descriptor{Digest: d}, ""); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestLayoutReferrersNested(t *testing.T) {
	nest := func(depth int) (entry string, blobs []string) {
		content := refers("application/deep", plainManifest)
		entry, blobs = described(typeManifest, content), []string{plainManifest, content}
		for range depth {
			content = indexOf(entry)
			entry, blobs = described(typeIndex, content), append(blobs, content)
		}
		return entry, blobs
	}
	for depth, want := range map[int]int{1: 1, maxLayoutDepth - 1: 1, maxLayoutDepth: 0, 100: 0} {
		entry, blobs := nest(depth)
		shallow := refers("application/shallow", plainManifest)
		l := openLayout(t, layoutOf(t, []string{entry, described(typeManifest, shallow), described(typeManifest, plainManifest, named("v1"))}, append(blobs, shallow)...))
		if got := typesOf(t, l, "v1", ""); len(got) != want+1 {
			t.Errorf("depth %d: %q", depth, got)
		}
	}
}

func TestLayoutReferrersAreBounded(t *testing.T) {
	subject := ocispec.Descriptor{Digest: digest.FromString(plainManifest)}
	// More manifests than may be, none of which is there.
	entries := make([]string, 0, maxLayoutManifests)
	for i := range maxLayoutManifests {
		entries = append(entries, described(typeManifest, manifestNo(i)))
	}
	dir := layoutOf(t, entries)
	l := openLayout(t, dir)
	if found, err := l.Referrers(t.Context(), subject, ""); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	more := indexOf(described(typeManifest, manifestNo(-1)), described(typeManifest, manifestNo(-2)))
	entries[0] = described(typeIndex, more)
	put(t, dir, "index.json", indexOf(entries...))
	put(t, dir, BlobPath(digest.FromString(more)), more)
	_, err := l.Referrers(t.Context(), subject, "")
	wantIs(t, err, errdef.ErrSizeExceedsLimit)

	// More bytes than may be.
	entries = nil
	dir = layoutOf(t, nil)
	padding := strings.Repeat(" ", MaxManifest-1000)
	for i := range maxLayoutRead/MaxManifest + 1 {
		content := manifestNo(i) + padding
		entries = append(entries, described(typeManifest, content))
		put(t, dir, BlobPath(digest.FromString(content)), content)
	}
	put(t, dir, "index.json", indexOf(entries...))
	_, err = openLayout(t, dir).Referrers(t.Context(), subject, "")
	wantIs(t, err, errdef.ErrSizeExceedsLimit)

	// Likewise of what is none.
	for i := range entries {
		content := fmt.Sprint("no JSON ", i) + padding
		entries[i] = described(typeManifest, content)
		put(t, dir, BlobPath(digest.FromString(content)), content)
	}
	put(t, dir, "index.json", indexOf(entries...))
	_, err = openLayout(t, dir).Referrers(t.Context(), subject, "")
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
}

// One that will never be right doesn't have the others read again; a line in the
// log says so once.
func TestLayoutReferrersBesideWrongKind(t *testing.T) {
	const schema1 = `{"schemaVersion":1,"name":"x"}`
	dir := layoutOf(t, []string{described(typeManifest, plainManifest), described(mediaTypeDockerSchema1, schema1)}, plainManifest, schema1)
	var log bytes.Buffer
	l, err := OpenLayout(t.Context(), dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // read only
	for range 3 {
		if found, err := l.Referrers(t.Context(), ocispec.Descriptor{Digest: digest.FromString(plainManifest)}, ""); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
}

// A manifest that is listed many times is read once.
func TestLayoutReferrersOfRepeatedManifests(t *testing.T) {
	large := manifestNo(0) + strings.Repeat(" ", MaxManifest-1000)
	entries := slices.Repeat([]string{described(typeManifest, large)}, 2*maxLayoutRead/MaxManifest)
	nested := indexOf(entries...)
	l := openLayout(t, layoutOf(t, append(entries, described(typeIndex, nested)), large, nested))
	if found, err := l.Referrers(t.Context(), ocispec.Descriptor{Digest: digest.FromString(plainManifest)}, ""); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// The manifests are read once, not for each question.
func TestLayoutReferrersAreKept(t *testing.T) {
	a := refers("application/a", plainManifest)
	dir := layoutOf(t, []string{described(typeManifest, plainManifest, named("v1")), described(typeManifest, a)}, plainManifest, a)
	l := openLayout(t, dir)
	for range 2 {
		if got := typesOf(t, l, "v1", ""); len(got) != 1 {
			t.Errorf("%q", got)
		}
		if err := os.RemoveAll(filepath.Join(dir, BlobPath(digest.FromString(a)))); err != nil {
			t.Fatal(err)
		}
	}
}
