package artifact

import (
	"slices"
	"strings"
	"testing"

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
	desc := ocispec.Descriptor{MediaType: mediaType, Annotations: map[string]string{}}
	for pair := range slices.Chunk(pairs, 2) {
		desc.Annotations[pair[0]] = pair[1]
	}
	return desc
}

// TestModelPackFiles looks at what each layer is under files/, and where.
func TestModelPackFiles(t *testing.T) {
	const title, path, metadata = ocispec.AnnotationTitle, annotationModelPath, annotationModelMetadata
	const file = `{"name":"b","mode":420,"uid":0,"gid":0,"size":7,"mtime":"2016-06-06T06:06:06Z","typeflag":48}`
	for _, test := range []struct {
		name  string
		layer ocispec.Descriptor
		at    string // "" is nowhere
		want  Entry
		said  bool // in the log
	}{
		{"raw", annotated(modelRaw, path, "w/a.safetensors", metadata, file), "w/a.safetensors", Entry{}, false},
		{"raw with bad metadata", annotated(modelRaw, path, "a", metadata, `{`), "a", Entry{}, false},
		{"its old name", annotated("application/vnd.cnai.model.weight.v1.raw", annotationOldModelPath, "a"), "a", Entry{}, false},
		{"a title wins", annotated(modelTar, title, "t", path, "p"), "t", Entry{}, false},
		{"an empty title", annotated(modelRaw, title, "", path, "p"), "p", Entry{}, false},
		{"tar", annotated(modelTar, path, "docs"), "docs", Entry{As: UnpackedAlone, Path: "docs"}, false},
		{"tar+gzip", annotated(modelGzip, path, "a/b"), "a/b", Entry{As: UnpackedAlone, Path: "a/b"}, false},
		{"tar+zstd", annotated(modelZstd, path, "a"), "a", Entry{As: UnpackedAlone, Path: "a"}, false},
		{"oras' type for any file", annotated(ocispec.MediaTypeImageLayer, path, "a"), "a", Entry{}, false},
		{"one file", annotated(modelGzip, path, "a/b", metadata, file), "a/b", Entry{As: Archived, Path: "a/b", Size: 7}, false},
		{"one file, old", annotated(modelTar, annotationOldModelPath, "b", annotationOldModelMetadata, file), "b", Entry{As: Archived, Path: "b", Size: 7}, false},
		{"a directory's", annotated(modelTar, path, "a", metadata, `{"size":4096,"typeflag":53}`), "a", Entry{As: UnpackedAlone, Path: "a"}, false},
		{"of another kind", annotated(modelTar, path, "a", metadata, `{"size":7,"typeflag":0}`), "a", Entry{As: UnpackedAlone, Path: "a"}, false},
		{"bad metadata", annotated(modelTar, path, "a", metadata, `{"size":-1,"typeflag":48}`), "a", Entry{As: UnpackedAlone, Path: "a"}, true},
		{"out of the directory", annotated(modelTar, path, "../a"), "", Entry{}, true},
		{"absolute", annotated(modelRaw, path, "/etc/passwd"), "", Entry{}, true},
		{"a NUL", annotated(modelRaw, path, "a\x00b"), "", Entry{}, true},
		{"the root", annotated(modelTar, path, "."), "", Entry{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, skipped := arranged(t, Manifest{Layers: []ocispec.Descriptor{test.layer}})
			var got []string
			for _, p := range paths(root, "") {
				got = append(got, strings.TrimSuffix(p, "=0"))
			}
			var want []string
			if test.at != "" {
				want = []string{test.at}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("files %q, want %q", got, want)
			}
			if said := len(skipped) > 0; said != test.said {
				t.Errorf("in the log: %t, want %t", said, test.said)
			}
			if test.at == "" {
				return
			}
			e := Entry{Folder: root}
			for element := range strings.SplitSeq(test.at, "/") {
				e = e.Folder.Children[element]
			}
			if e != test.want {
				t.Errorf("it is %+v, want %+v", e, test.want)
			}
		})
	}
}

// TestModelPackCollisions gives layers the same path, and a path below a file.
func TestModelPackCollisions(t *testing.T) {
	const path = annotationModelPath
	root, skipped := arranged(t, Manifest{Layers: []ocispec.Descriptor{
		annotated(modelRaw, path, "a"), annotated(modelTar, path, "a"), annotated(modelTar, path, "docs"),
		annotated(modelRaw, path, "docs/readme.md"), annotated(modelRaw, path, "w/a"), annotated(modelRaw, path, "w"),
	}})
	if got, want := paths(root, ""), []string{"a=0", "docs=2", "w/a=4"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if want := []string{"a", "docs/readme.md", "w"}; !slices.Equal(skipped, want) {
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
		file, _ := modelPackFile("a", annotated(modelTar, annotationModelPath, "a", annotationModelMetadata, text))
		if file.Path != "a" || (file.As == Archived) != (err == nil && m.isFile()) {
			t.Errorf("%q makes %+v of the layer", text, file)
		}
	})
}
