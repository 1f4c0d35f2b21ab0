package resolver

import (
	"bytes"
	"errors"
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

// manifestNo is a manifest like no other.
func manifestNo(i int) string {
	return fmt.Sprintf(`{"schemaVersion":2,"layers":[],"annotations":{"n":"%d"}}`, i)
}

func TestLayoutTags(t *testing.T) {
	image := func(name string) string { return fmt.Sprintf(`"annotations":{%q:%q}`, annotationImageName, name) }
	for name, test := range map[string]struct {
		annotations []string       // of manifests 0, 1, …
		want        map[string]int // manifests by tag
		warns       bool
	}{
		"none":                    {[]string{`"annotations":{}`, named("")}, nil, false},
		"tag":                     {[]string{named("v1"), named("v2")}, map[string]int{"v1": 0, "v2": 1}, false},
		"the last":                {[]string{named("v1"), named("v1")}, map[string]int{"v1": 1}, true},
		"whole name":              {[]string{named("docker.io/library/x:1.2")}, map[string]int{"1.2": 0}, false},
		"whole name and tag":      {[]string{named("1.2"), named("docker.io/library/x:1.2")}, map[string]int{"1.2": 0}, false},
		"two whole names":         {[]string{named("a:v1"), named("b:v1")}, map[string]int{"v1": 1}, true},
		"port":                    {[]string{named("localhost:5000/x")}, nil, false},
		"port and tag":            {[]string{named("localhost:5000/x:v1")}, map[string]int{"v1": 0}, false},
		"digest":                  {[]string{named("x@" + sha256Digest)}, nil, false},
		"tag and digest":          {[]string{named("x:v1@" + sha256Digest)}, map[string]int{"v1": 0}, false},
		"no tag":                  {[]string{named("v1+x"), named("x:"), named("x:v1+x"), named("../..")}, nil, false},
		"containerd's name":       {[]string{image("docker.io/library/x:1.2")}, map[string]int{"1.2": 0}, false},
		"containerd's, no tag":    {[]string{image("x")}, nil, false},
		"containerd's, and a tag": {[]string{strings.Replace(image("docker.io/library/x:1.2"), "}", `,"`+ocispec.AnnotationRefName+`":"v1"}`, 1)}, map[string]int{"v1": 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var entries, blobs []string
			for i, annotations := range test.annotations {
				blobs = append(blobs, manifestNo(i))
				entries = append(entries, described(typeManifest, manifestNo(i), annotations))
			}
			var log bytes.Buffer
			l, err := OpenLayout(t.Context(), layoutOf(t, entries, blobs...), debugLog(&log))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // read only
			tags := tagsOf(t, l)
			if len(tags) != len(test.want) || !slices.IsSorted(tags) {
				t.Errorf("tags %q, want %v", tags, test.want)
			}
			for tag, i := range test.want {
				if desc, err := l.Resolve(t.Context(), tag); err != nil || desc.Digest != digest.FromString(manifestNo(i)) {
					t.Errorf("%s: %+v, %v", tag, desc, err)
				}
			}
			if lines := strings.Count(log.String(), "one tag"); lines > 1 || (lines == 1) != test.warns {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

// A manifest that has its tag twice is one manifest.
func TestLayoutTagTwice(t *testing.T) {
	var log bytes.Buffer
	entry := described(typeManifest, plainManifest, named("v1"))
	l, err := OpenLayout(t.Context(), layoutOf(t, []string{entry, entry}, plainManifest), debugLog(&log))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // read only
	if tags := tagsOf(t, l); len(tags) != 1 || log.Len() != 0 {
		t.Errorf("tags %q, log:\n%s", tags, &log)
	}
}

func TestLayoutTagsStop(t *testing.T) {
	l := openLayout(t, layoutOf(t, []string{described(typeManifest, plainManifest, named("v1"))}, plainManifest))
	enough := errors.New("enough")
	wantIs(t, l.Tags(t.Context(), func([]string) error { return enough }), enough)
}

// A folder changes while it is open.
func TestLayoutChanges(t *testing.T) {
	dir := layoutOf(t, nil, plainManifest)
	l := openLayout(t, dir)
	if tags := tagsOf(t, l); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
	if listed, err := l.Manifests(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("manifests %v, %v", listed, err)
	}
	put(t, dir, "index.json", indexOf(described(typeManifest, plainManifest, named("v1"))))
	if desc, err := l.Resolve(t.Context(), "v1"); err != nil || desc.Digest != digest.FromString(plainManifest) {
		t.Errorf("a new tag: %+v, %v", desc, err)
	}
	referring := `{"schemaVersion":2,"layers":[],"artifactType":"application/x","subject":` + described(typeManifest, plainManifest) + `}`
	subject := ocispec.Descriptor{Digest: digest.FromString(plainManifest)}
	if found, err := l.Referrers(t.Context(), subject, ""); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	put(t, dir, BlobPath(digest.FromString(referring)), referring)
	put(t, dir, "index.json", indexOf(described(typeManifest, referring)))
	if found, err := l.Referrers(t.Context(), subject, ""); err != nil || len(found) != 1 {
		t.Errorf("a new referrer: %v, %v", found, err)
	}
	if listed, err := l.Manifests(t.Context()); err != nil || len(listed) != 1 || listed[0].Digest != digest.FromString(referring) {
		t.Errorf("%d manifests, %v", len(listed), err)
	}
	_, err := l.Resolve(t.Context(), "v1")
	wantIs(t, err, errdef.ErrNotFound)
}

// A rewriting is a folder whose index.json is being written: at first only its
// beginning is there, when it is opened or when it is read.
type rewriting struct {
	layoutFiles
	dir   string
	whole string
	begun int  // readings that see the beginning
	late  bool // the file is whole when it is opened
}

func (r *rewriting) open(name string) (layoutFile, error) {
	if name != ocispec.ImageIndexFile {
		return r.layoutFiles.open(name)
	}
	path, content := filepath.Join(r.dir, name), r.whole
	torn := r.begun > 0
	if torn {
		r.begun--
	}
	if torn && !r.late {
		content = content[:20]
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return nil, err
	}
	f, err := r.layoutFiles.open(name)
	if err == nil && torn && r.late {
		err = os.Truncate(path, 0)
	}
	return f, err
}

// oras writes index.json in place.
func TestLayoutIndexBeingWritten(t *testing.T) {
	dir := layoutOf(t, nil, plainManifest)
	l := openLayout(t, dir)
	files := &rewriting{layoutFiles: l.files, dir: dir, whole: indexOf(described(typeManifest, plainManifest, named("v1")))}
	l.files = files
	for begun, works := range map[int]bool{1: true, indexReads - 1: true, indexReads: false, -1: true, 1 - indexReads: true, -indexReads: false} {
		files.begun, files.late = max(begun, -begun), begun < 0
		if desc, err := l.Resolve(t.Context(), "v1"); (err == nil) != works || errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("after %d readings: %+v, %v", begun, desc, err)
		}
	}
}

func TestLayoutIndexIsBounded(t *testing.T) {
	dir := layoutOf(t, nil, plainManifest)
	l := openLayout(t, dir)
	entry := described(typeManifest, plainManifest)
	for name, content := range map[string]string{
		"bytes":     emptyIndex + strings.Repeat(" ", MaxManifest),
		"manifests": indexOf(slices.Repeat([]string{entry}, maxDescriptors+1)...),
		"values":    `{"schemaVersion":2,"manifests":[],"x":[` + strings.Repeat("0,", maxElements) + `0]}`,
	} {
		put(t, dir, "index.json", content)
		wantIs(t, l.Tags(t.Context(), func([]string) error { return nil }), errdef.ErrSizeExceedsLimit)
		if _, err := OpenLayout(t.Context(), dir, nil); !errors.Is(err, errdef.ErrSizeExceedsLimit) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	put(t, dir, "index.json", indexOf(slices.Repeat([]string{entry}, maxDescriptors)...))
	if tags := tagsOf(t, l); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
}

func FuzzLayoutIndex(f *testing.F) {
	referring := `{"schemaVersion":2,"layers":[],"subject":` + described(typeManifest, plainManifest) + `}`
	nested := indexOf(described(typeManifest, referring))
	plain := described(typeManifest, plainManifest, named("v1"))
	for _, seed := range []string{
		emptyIndex, indexOf(plain), indexOf(plain, described(typeIndex, nested)), indexOf(described(typeManifest, referring, named("x:v1"))),
		indexOf(described(typeIndex, nested, named(strings.Replace(digest.FromString(plainManifest).String(), ":", "-", 1)))),
		`{"schemaVersion":2,"manifests":[{}]}`, `{"schemaVersion":2,"manifests":null}`, `{"manifests":`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		files := &layoutTar{source: memoryTar{}, entries: make(map[string]tarEntry)}
		for _, blob := range []string{plainManifest, referring, nested} {
			files.put(BlobPath(digest.FromString(blob)), []byte(blob))
		}
		files.put(ocispec.ImageIndexFile, content)
		l := &Layout{path: "x", files: files, log: slog.New(slog.DiscardHandler), turn: make(chan struct{}, 1)}
		if _, err := l.readIndex(t.Context()); err != nil { // once: it won't change
			return
		}
		walkLayout(t, l)
	})
}

// walkLayout asks a layout for all it has. What it gives has to match its
// digest; anything may be an error.
func walkLayout(t *testing.T, l *Layout) {
	defer l.Close() //nolint:errcheck // read only
	for _, tag := range tagsOf(t, l) {
		if !ValidTag(tag) {
			t.Fatalf("tag %q", tag)
		}
		desc, err := l.Resolve(t.Context(), tag)
		if err != nil {
			continue
		}
		content, err := l.Manifest(t.Context(), desc.Digest)
		if err != nil || int64(len(content)) != desc.Size || verify(content, desc.Digest) != nil {
			t.Fatalf("%s is %+v: %d bytes, %v", tag, desc, len(content), err)
		}
		found, err := l.Referrers(t.Context(), desc, "")
		if err == nil && slices.ContainsFunc(found, func(desc ocispec.Descriptor) bool { return checkDigest(desc.Digest) != nil }) {
			t.Fatalf("referrers %v", found)
		}
		m, err := ParseManifest(desc.Digest, content)
		if err != nil {
			continue
		}
		for _, layer := range m.Layers {
			n := min(layer.Size, 1<<20)
			got, at, err := fetch(l.Blob(layer), layer.Size-n, n)
			if err == nil && (at != layer.Size-n || int64(len(got)) != n) {
				t.Fatalf("%+v: %d bytes from %d", layer, len(got), at)
			}
		}
	}
}
