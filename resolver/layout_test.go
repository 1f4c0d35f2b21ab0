package resolver

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// fixture is what is in test/testdata/NAME.tar.gz.
func fixture(t testing.TB, name string) fs.FS {
	t.Helper()
	files, err := fakeregistry.OpenLayout(filepath.Join("..", "test", "testdata", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unpack writes files into a folder.
func unpack(t testing.TB, files fs.FS) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

// packed writes files into a tar.
func packed(t testing.TB, files fs.FS) (path string) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := errors.Join(w.AddFS(files), w.Close()); err != nil {
		t.Fatal(err)
	}
	return written(t, out.Bytes())
}

// written writes a file.
func written(t testing.TB, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "layout.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// saved writes one of the tars of docker-save.
func saved(t testing.TB, name string) (path string) {
	t.Helper()
	content, err := fs.ReadFile(fixture(t, "docker-save"), name+".tar")
	if err != nil {
		t.Fatal(err)
	}
	return written(t, content)
}

func openLayout(t testing.TB, path string) *Layout {
	t.Helper()
	l, err := OpenLayout(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// tagsOf are a source's tags.
func tagsOf(t testing.TB, s Source) []string {
	t.Helper()
	var all []string
	if err := s.Tags(t.Context(), func(tags []string) error {
		all = append(all, tags...)
		return nil
	}); err != nil {
		t.Error(err)
	}
	return all
}

func TestLayoutFails(t *testing.T) {
	l := openLayout(t, unpack(t, fixture(t, "artifact")))
	unknown := digest.FromBytes(alphabet)
	_, byTag := l.Resolve(t.Context(), "none")
	_, byDigest := l.Resolve(t.Context(), unknown.String())
	_, manifest := l.Manifest(t.Context(), unknown)
	_, size := l.BlobSize(t.Context(), unknown)
	_, _, blob := fetch(l.Blob(ocispec.Descriptor{Digest: unknown, Size: 26}), 0, 26)
	for i, err := range []error{byTag, byDigest, manifest, size, blob} {
		wantIs(t, err, errdef.ErrNotFound)
		if err != nil && !strings.Contains(err.Error(), l.Path()) {
			t.Errorf("%d: error %v doesn't say %s", i, err, l.Path())
		}
	}
	for _, reference := range []string{"", "a/b", "sha256:x", "sha256:../../oci-layout", "../x", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		d := digest.Digest(reference)
		_, resolve := l.Resolve(t.Context(), reference)
		_, manifest := l.Manifest(t.Context(), d)
		_, size := l.BlobSize(t.Context(), d)
		_, _, blob := fetch(l.Blob(ocispec.Descriptor{Digest: d, Size: 26}), 0, 26)
		_, referrers := l.Referrers(t.Context(), ocispec.Descriptor{Digest: d}, "")
		for _, err := range []error{resolve, manifest, size, blob, referrers} {
			wantIs(t, err, errdef.ErrInvalidReference)
		}
	}
}

func TestLayoutHeedsTheContext(t *testing.T) {
	l := openLayout(t, unpack(t, fixture(t, "artifact")))
	desc, err := l.Resolve(t.Context(), "single")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	body, _, err := l.Blob(desc).Fetch(ctx, 0, desc.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	_, reading := body.Read(make([]byte, 1))
	_, byTag := l.Resolve(ctx, "single")
	_, byDigest := l.Resolve(ctx, desc.Digest.String())
	_, manifest := l.Manifest(ctx, desc.Digest)
	_, size := l.BlobSize(ctx, desc.Digest)
	_, _, fetching := l.Blob(desc).Fetch(ctx, 0, 1, nil)
	tags := l.Tags(ctx, func([]string) error { return nil })
	_, referrers := l.Referrers(ctx, desc, "")
	for _, err := range []error{reading, byTag, byDigest, manifest, size, fetching, tags, referrers} {
		wantIs(t, err, context.Canceled)
	}
}

func TestOpenLayoutThatIsNone(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenLayout(t.Context(), filepath.Join(dir, "none"), nil)
	wantIs(t, err, fs.ErrNotExist)
	for name, test := range map[string]struct {
		files map[string]string
		says  string
	}{
		"empty":         {nil, ocispec.ImageLayoutFile},
		"without index": {map[string]string{"oci-layout": layoutVersion}, "index.json"},
		"older":         {map[string]string{"oci-layout": `{"imageLayoutVersion":"0.9"}`, "index.json": emptyIndex}, "0.9"},
		"no version":    {map[string]string{"oci-layout": `{`, "index.json": emptyIndex}, "oci-layout"},
		"large version": {map[string]string{"oci-layout": strings.Repeat(" ", maxLayoutFile+1), "index.json": emptyIndex}, "oci-layout"},
		"broken index":  {map[string]string{"oci-layout": layoutVersion, "index.json": `{"schemaVersion":2`}, "index.json"},
		"no index":      {map[string]string{"oci-layout": layoutVersion, "index.json": `{"schemaVersion":2,"layers":[]}`}, "index.json"},
	} {
		_, err := OpenLayout(t.Context(), folder(t, test.files), nil)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v; want one that says %q", name, err, test.says)
		}
	}
}

const (
	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
	emptyIndex    = `{"schemaVersion":2,"manifests":[]}`
)

// folder writes files into a folder.
func folder(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		put(t, dir, name, content)
	}
	return dir
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// layoutOf writes a layout: an index.json of entries, and blobs.
func layoutOf(t testing.TB, entries []string, blobs ...string) (dir string) {
	t.Helper()
	dir = folder(t, map[string]string{"oci-layout": layoutVersion, "index.json": indexOf(entries...)})
	for _, blob := range blobs {
		put(t, dir, BlobPath(digest.FromString(blob)), blob)
	}
	return dir
}

func indexOf(entries ...string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
}

// described is a descriptor of content, as JSON.
func described(mediaType, content string, fields ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`,
		mediaType, digest.FromString(content), len(content), strings.Join(append([]string{""}, fields...), ","))
}

// named is the annotation of a tag, as JSON.
func named(name string) string {
	return fmt.Sprintf(`"annotations":{%q:%q}`, ocispec.AnnotationRefName, name)
}

const plainManifest = `{"schemaVersion":2,"layers":[]}`

func TestLayoutWrongContent(t *testing.T) {
	dir := layoutOf(t, []string{described(typeManifest, plainManifest, named("v1"))})
	put(t, dir, BlobPath(digest.FromString(plainManifest)), strings.Replace(plainManifest, "2", "3", 1))
	l := openLayout(t, dir)
	_, resolve := l.Resolve(t.Context(), "v1")
	_, manifest := l.Manifest(t.Context(), digest.FromString(plainManifest))
	for _, err := range []error{resolve, manifest} {
		if err == nil || !strings.Contains(err.Error(), "match its digest") {
			t.Errorf("error %v", err)
		}
	}
}

func TestLayoutManifestIsBounded(t *testing.T) {
	largest, larger := strings.Repeat("x", MaxManifest), strings.Repeat("x", MaxManifest+1)
	const other = "application/vnd.example"
	l := openLayout(t, layoutOf(t, []string{described(other, largest), described(other, larger)}, largest, larger))
	if content, err := l.Manifest(t.Context(), digest.FromString(largest)); err != nil || string(content) != largest {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	d := digest.FromString(larger)
	_, err := l.Manifest(t.Context(), d)
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
	_, err = l.Resolve(t.Context(), d.String())
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
}

// TestLayoutMediaType lists documents by media types that theirs are, are not, and
// that say nothing.
func TestLayoutMediaType(t *testing.T) {
	const other, image, bare = `{"mediaType":"application/vnd.example+json"}`, `{"schemaVersion":2,"config":{}}`, `{"schemaVersion":2,"layers":[]}`
	l := openLayout(t, layoutOf(t, []string{described(typeManifest, other), described(typeIndex, image), described("", bare)}, other, image, bare))
	for content, want := range map[string]string{other: "application/vnd.example+json", image: "", bare: typeManifest} {
		d := digest.FromString(content)
		got, err := l.Manifest(t.Context(), d)
		desc, err2 := l.Resolve(t.Context(), d.String())
		if want == "" {
			for _, err := range []error{err, err2} {
				if err == nil || !strings.Contains(err.Error(), typeIndex) || !strings.Contains(err.Error(), typeManifest) {
					t.Errorf("%s listed as an index: error %v", content, err)
				}
			}
			continue
		}
		if err != nil || err2 != nil || string(got) != content || desc.MediaType != want {
			t.Errorf("%s: %q, %v; %+v, %v; want %q", content, got, err, desc, err2, want)
		}
	}
}

// TestLayoutIndexAsOthersTakeIt has an index.json without a schema version, of more
// annotations than a manifest may have.
func TestLayoutIndexAsOthersTakeIt(t *testing.T) {
	entries := make([]string, maxAnnotations/3+10)
	for i := range entries {
		entries[i] = described(typeManifest, plainManifest,
			fmt.Sprintf(`"annotations":{"org.opencontainers.image.ref.name":"v%d","io.containerd.image.name":"example.com/x:v%d","org.opencontainers.image.created":"x"}`, i, i))
	}
	dir := layoutOf(t, nil, plainManifest)
	put(t, dir, "index.json", `{"manifests":[`+strings.Join(entries, ",")+`]}`)
	if tags := tagsOf(t, openLayout(t, dir)); len(tags) != len(entries) {
		t.Errorf("%d tags, want %d", len(tags), len(entries))
	}
}

// TestLayoutBlobIsNoManifest asks for blobs as manifests, one of which looks like
// an image's.
func TestLayoutBlobIsNoManifest(t *testing.T) {
	for _, content := range []string{"text", `{"architecture":"amd64","config":{"Cmd":["sh"]},"rootfs":{"type":"layers"}}`, `{}`, ""} {
		l := openLayout(t, layoutOf(t, []string{described(typeManifest, plainManifest)}, content))
		d := digest.FromString(content)
		_, manifest := l.Manifest(t.Context(), d)
		_, resolve := l.Resolve(t.Context(), d.String())
		wantIs(t, manifest, errdef.ErrNotFound)
		wantIs(t, resolve, errdef.ErrNotFound)
		if size, err := l.BlobSize(t.Context(), d); err != nil || size != int64(len(content)) {
			t.Errorf("%q: a blob of %d bytes, %v", content, size, err)
		}
	}
}

func TestLayoutSHA512(t *testing.T) {
	d := digest.SHA512.FromString(plainManifest)
	dir := layoutOf(t, []string{fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,%s}`, typeManifest, d, len(plainManifest), named("v1"))})
	put(t, dir, "blobs/sha512/"+d.Encoded(), plainManifest)
	if desc, err := openLayout(t, dir).Resolve(t.Context(), "v1"); err != nil || desc.Digest != d {
		t.Errorf("%+v, %v", desc, err)
	}
}
