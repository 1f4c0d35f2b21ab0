package artifact

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// titled makes layers with those titles.
func titled(titles ...string) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, len(titles))
	for i, title := range titles {
		layers[i].Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	return layers
}

func TestTitledFiles(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, test := range []struct {
		name    string
		titles  []string
		files   []string
		skipped []string
	}{
		{"plain and folders", []string{"a.txt", "docs/readme.md", "docs/img/x.png"}, []string{"a.txt=0", "docs/readme.md=1", "docs/img/x.png=2"}, nil},
		{"no title", []string{"", "a"}, []string{"a=1"}, nil},
		{"dots and double slashes", []string{"./a", "b//c", "d/./e/"}, []string{"a=0", "b/c=1", "d/e=2"}, nil},
		{"out of the directory", []string{"../x", "a/../../x", "/etc/passwd", "..", "/"}, nil, []string{"../x", "a/../../x", "/etc/passwd", "..", "/"}},
		{"not a name", []string{"a\x00b", long, ".", strings.Repeat("d/", 100) + "x"}, nil, []string{"a\x00b", long, ".", strings.Repeat("d/", 100) + "x"}},
		{"one title twice", []string{"a", "a"}, []string{"a=0"}, []string{"a"}},
		{"a file and a folder", []string{"a", "a/b"}, []string{"a=0"}, []string{"a/b"}},
		{"a folder and a file", []string{"a/b", "a"}, []string{"a/b=0"}, []string{"a"}},
		{"longest name", []string{long[1:]}, []string{long[1:] + "=0"}, nil},
		{"unicode", []string{"grüße/日本.txt"}, []string{"grüße/日本.txt=0"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, skipped := arranged(t, Manifest{Layers: titled(test.titles...)})
			files := paths(root, "")
			if !slices.Equal(files, test.files) {
				t.Errorf("files %q, want %q", files, test.files)
			}
			if !slices.Equal(skipped, test.skipped) {
				t.Errorf("skipped %q, want %q", skipped, test.skipped)
			}
		})
	}
}

// TestUnpackedTitles looks at titles of directories, which end with a star here,
// alone and where they meet others.
func TestUnpackedTitles(t *testing.T) {
	for _, test := range []struct {
		name    string
		titles  []string
		files   []string
		skipped []string
	}{
		{"the directory that is pushed", []string{".*"}, []string{"*=0"}, nil},
		{"it and a file", []string{"x", "./*"}, []string{"*=1", "x=0"}, nil},
		{"a file and its directory", []string{"a/one", "a*"}, []string{"a/*=1", "a/one=0"}, nil},
		{"a directory and its file", []string{"a*", "a/one"}, []string{"a/*=0", "a/one=1"}, nil},
		{"a directory in a directory", []string{"a/b*", "a*"}, []string{"a/*=1", "a/b/*=0"}, nil},
		{"one path in two spellings", []string{"a*", "./a*"}, []string{"a/*=0", "a/*=1"}, nil},
		// What follows oras refuses.
		{"one title twice", []string{"a*", "a*"}, []string{"a/*=0"}, []string{"a"}},
		{"a file and a directory", []string{"a", "./a*"}, []string{"a=0"}, []string{"./a"}},
		{"a directory and a file", []string{"a*", "./a"}, []string{"a/*=0"}, []string{"./a"}},
		{"below a file", []string{"a", "a/b*"}, []string{"a=0"}, []string{"a/b"}},
		{"out of the directory", []string{"..*", "/a*", "a/../..*"}, nil, []string{"..", "/a", "a/../.."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			layers := titled(test.titles...)
			for _, desc := range layers {
				title, unpacked := strings.CutSuffix(desc.Annotations[ocispec.AnnotationTitle], "*")
				if unpacked {
					desc.Annotations[ocispec.AnnotationTitle], desc.Annotations[annotationUnpack] = title, "true"
				}
			}
			root, skipped := arranged(t, Manifest{Layers: layers})
			if got := paths(root, ""); !slices.Equal(got, test.files) {
				t.Errorf("files %q, want %q", got, test.files)
			}
			if !slices.Equal(skipped, test.skipped) {
				t.Errorf("skipped %q, want %q", skipped, test.skipped)
			}
		})
	}
}
