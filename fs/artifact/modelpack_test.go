package artifact

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	modelRaw  = "application/vnd.cncf.model.weight.v1.raw"
	modelTar  = "application/vnd.cncf.model.doc.v1.tar"
	modelGzip = "application/vnd.cncf.model.code.v1.tar+gzip"
	modelZstd = "application/vnd.cncf.model.dataset.v1.tar+zstd"
)

// annotated makes a layer of annotations, given as pairs.
func annotated(mediaType string, pairs ...string) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(mediaType), Annotations: map[string]string{}}
	for pair := range slices.Chunk(pairs, 2) {
		desc.Annotations[pair[0]] = pair[1]
	}
	return desc
}

// TestModelPackFiles looks at what each layer is under files/, and where.
func TestModelPackFiles(t *testing.T) {
	const title, path, metadata = ocispec.AnnotationTitle, annotationModelPath, annotationModelMetadata
	const file = `{"name":"b","mode":420,"uid":0,"gid":0,"size":7,"mtime":"2016-06-06T06:06:06Z","typeflag":48}`
	raw := func(at string) []string { return []string{at + "=0"} }
	unpacked := func(at string) []string { return []string{at + "/*=0"} }
	archived := func(path string) *Entry { return &Entry{As: Archived, Path: path, Size: 7} }
	for _, test := range []struct {
		name  string
		layer ocispec.Descriptor
		want  []string
		is    *Entry // where it is one file of an archive
		said  bool   // in the log
	}{
		{"raw", annotated(modelRaw, path, "w/a.safetensors", metadata, file), raw("w/a.safetensors"), nil, false},
		{"raw with bad metadata", annotated(modelRaw, path, "a", metadata, `{`), raw("a"), nil, false},
		{"its old name", annotated("application/vnd.cnai.model.weight.v1.raw", annotationOldModelPath, "a"), raw("a"), nil, false},
		{"a title wins", annotated(modelTar, title, "t", path, "p"), raw("t"), nil, false},
		{"an empty title", annotated(modelRaw, title, "", path, "p"), raw("p"), nil, false},
		{"tar", annotated(modelTar, path, "docs"), unpacked("docs"), nil, false},
		{"tar+gzip", annotated(modelGzip, path, "a/b"), unpacked("a/b"), nil, false},
		{"tar+zstd", annotated(modelZstd, path, "a"), unpacked("a"), nil, false},
		{"the root", annotated(modelTar, path, "."), []string{"*=0"}, nil, false},
		{"oras' type for any file", annotated(ocispec.MediaTypeImageLayer, path, "a"), raw("a"), nil, false},
		{"one file", annotated(modelGzip, path, "a/b", metadata, file), raw("a/b"), archived("a/b"), false},
		{"one file, old", annotated(modelTar, annotationOldModelPath, "b", annotationOldModelMetadata, file), raw("b"), archived("b"), false},
		{"a directory's", annotated(modelTar, path, "a", metadata, `{"size":4096,"typeflag":53}`), unpacked("a"), nil, false},
		{"of another kind", annotated(modelTar, path, "a", metadata, `{"size":7,"typeflag":0}`), unpacked("a"), nil, false},
		{"bad metadata", annotated(modelTar, path, "a", metadata, `{"size":-1,"typeflag":48}`), unpacked("a"), nil, true},
		{"out of the directory", annotated(modelTar, path, "../a"), nil, nil, true},
		{"absolute", annotated(modelRaw, path, "/etc/passwd"), nil, nil, true},
		{"a NUL", annotated(modelRaw, path, "a\x00b"), nil, nil, true},
		{"a file that is the root", annotated(modelRaw, path, "."), nil, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, skipped := arranged(t, Manifest{Layers: []ocispec.Descriptor{test.layer}})
			if got := paths(root, ""); !slices.Equal(got, test.want) {
				t.Fatalf("files %q, want %q", got, test.want)
			}
			if said := len(skipped) > 0; said != test.said {
				t.Errorf("in the log: %t, want %t", said, test.said)
			}
			if test.want == nil {
				return
			}
			f, last := root, ""
			for element := range strings.SplitSeq(strings.TrimSuffix(test.want[0], "=0"), "/") {
				if last != "" {
					f = f.Children[last].Folder
				}
				last = element
			}
			switch e := f.Children[last]; {
			case last == "*":
				if want := (Archive{Path: test.layer.Annotations[path], Alone: true}); f.Archives[0] != want {
					t.Errorf("it is %+v, want %+v", f.Archives[0], want)
				}
			case test.is == nil && e != Entry{} || test.is != nil && e != *test.is:
				t.Errorf("it is %+v, want %+v", e, test.is)
			}
		})
	}
}

// TestModelPackCollisions gives layers the same path, and a path below another.
func TestModelPackCollisions(t *testing.T) {
	const path = annotationModelPath
	root, skipped := arranged(t, Manifest{Layers: []ocispec.Descriptor{
		annotated(modelRaw, path, "a"), annotated(modelTar, path, "a"), annotated(modelTar, path, "docs"),
		annotated(modelRaw, path, "docs/readme.md"), annotated(modelRaw, path, "w/a"), annotated(modelRaw, path, "w"),
	}})
	if got, want := paths(root, ""), []string{"a=0", "docs/*=2", "docs/readme.md=3", "w/a=4"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if want := []string{"a", "w"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
}

func TestParseFileMetadata(t *testing.T) {
	for text, size := range map[string]int64{ // -1: no file's, or no metadata
		`{"name":"a","mode":420,"size":66912,"mtime":"2016-06-06T06:06:06Z","typeflag":48}`: 66912,
		`{"size":0,"typeflag":48}`:                                   0,
		`{"size":9223372036854775807,"typeflag":48}`:                 1<<63 - 1,
		`{"size":5,"typeflag":48,"mode":"odd","name":[],"mtime":{}}`: 5,
		`{"size":9223372036854775808,"typeflag":48}`:                 -1,
		`{"size":-1,"typeflag":48}`:                                  -1,
		`{"size":1.5,"typeflag":48}`:                                 -1,
		`{"size":"5","typeflag":48}`:                                 -1,
		`{"size":5,"typeflag":"0"}`:                                  -1,
		`{"size":5,"typeflag":304}`:                                  -1,
		`{"size":5,"typeflag":53}`:                                   -1,
		`{"size":5}`:                                                 -1,
		`{"typeflag":48}`:                                            -1,
		`{"size":null,"typeflag":48}`:                                -1,
		`null`:                                                       -1,
		`[]`:                                                         -1,
		`7`:                                                          -1,
		``:                                                           -1,
		`{"size":5,"typeflag":48`:                                    -1,
		`{"size":5,"typeflag":48}}`:                                  -1,
		strings.Repeat("[", 60<<10):                                  -1,
		`{"size":5,"typeflag":48,"a":"` + strings.Repeat("x", 64<<10) + `"}`: -1,
	} {
		m, err := parseFileMetadata(text)
		got := int64(-1)
		if err == nil && m.isFile() {
			got = *m.Size
		}
		if got != size {
			t.Errorf("%.100s: a file of %d bytes (%v), want %d", text, got, err, size)
		}
	}
}

func FuzzFileMetadata(f *testing.F) {
	for _, text := range []string{
		`{"name":"a","mode":420,"uid":0,"gid":0,"size":66912,"mtime":"2016-06-06T06:06:06Z","typeflag":48}`,
		`{"size":-1,"typeflag":48}`, `{"typeflag":48}`, `{"size":1e3,"typeflag":53}`, `null`, `[`, ``,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseFileMetadata(text)
		if err == nil && m.isFile() && *m.Size < 0 {
			t.Errorf("%q is a file of %d bytes", text, *m.Size)
		}
		layer := annotated(modelTar, annotationModelPath, "a", annotationModelMetadata, text)
		root := arrange(t.Context(), Manifest{Layers: []ocispec.Descriptor{layer}}, nil, slog.New(slog.DiscardHandler))
		if e, ok := root.Children["a"]; !ok || (e.As == Archived) != (text != "" && err == nil && m.isFile()) {
			t.Errorf("%q makes %+v of the layer", text, e)
		}
	})
}
