package fs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
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

// paths lists all files below a folder with the layer of each.
func paths(f *folder, above string) []string {
	var all []string
	for _, name := range f.names {
		if e := f.children[name]; e.folder != nil {
			all = append(all, paths(e.folder, above+name+"/")...)
		} else {
			all = append(all, fmt.Sprintf("%s%s=%d", above, name, e.layer))
		}
	}
	return all
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
			var skipped []string
			files := paths(titledFiles(titled(test.titles...), func(title string, err error) {
				if err == nil {
					t.Errorf("title %q skipped without a reason", title)
				}
				skipped = append(skipped, title)
			}), "")
			if !slices.Equal(files, test.files) {
				t.Errorf("files %q, want %q", files, test.files)
			}
			if !slices.Equal(skipped, test.skipped) {
				t.Errorf("skipped %q, want %q", skipped, test.skipped)
			}
		})
	}
}

func TestAddNames(t *testing.T) {
	digits := func(content string) string { return digest.FromString(content).Encoded()[:hexDigits] }
	layer := func(content, mediaType string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content)}
	}
	layers := []ocispec.Descriptor{
		layer("a", ""), layer("b", ""), layer("c", ""), layer("a", ""), layer("d", ""), layer("e", "application/x.tar"),
		layer("f", ""), layer("g", ""), layer("h", ""), layer("i", ""),
	}
	names := []string{
		"model.gguf", "license", "license", "model.gguf", "", "config",
		"model.gguf", "stated", "../x", "text/config.json",
	}
	root := newFolder()
	if err := root.place("stated", fileEntry{layer: 4}); err != nil {
		t.Fatal(err)
	}
	var skipped []string
	root.addNames(layers, names, func(title string, err error) { skipped = append(skipped, title) })
	want := []string{
		"stated=4", "model-" + digits("a") + ".gguf=0", "license-" + digits("b") + "=1", "license-" + digits("c") + "=2",
		"config=5", "model-" + digits("f") + ".gguf=6", "text/config.json=9",
	}
	if got := paths(root, ""); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if want := []string{"stated", "../x"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	if root.children["config"].as != asUnpacked {
		t.Error("an archive isn't a directory")
	}
}

func FuzzTitle(f *testing.F) {
	for _, title := range []string{"a", "docs/readme.md", "../x", "/etc/passwd", "a\x00", "./a//b/", ".."} {
		f.Add(title)
	}
	f.Fuzz(func(t *testing.T, title string) {
		elements, err := splitTitle(title)
		if err != nil {
			return
		}
		for _, e := range elements {
			if e == "" || e == "." || e == ".." || strings.ContainsAny(e, "/\x00") || len(e) > maxName {
				t.Errorf("title %q has the element %q", title, e)
			}
		}
	})
}
