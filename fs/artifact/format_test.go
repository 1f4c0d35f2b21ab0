package artifact

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// skippedTitles is a log that keeps which titles were left out.
type skippedTitles struct {
	slog.Handler
	titles  []string
	reasons int
}

func (s *skippedTitles) Enabled(context.Context, slog.Level) bool { return true }

func (s *skippedTitles) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "title":
			s.titles = append(s.titles, a.Value.String())
		case "error":
			s.reasons++
		}
		return true
	})
	return nil
}

// arranged gives the files of a manifest that needs no blob, and the titles that
// were left out.
func arranged(t testing.TB, m Manifest) (root *Folder, skipped []string) {
	t.Helper()
	log := &skippedTitles{}
	root = arrange(t.Context(), m, nil, slog.New(log))
	if log.reasons != len(log.titles) {
		t.Errorf("%d reasons for %q", log.reasons, log.titles)
	}
	return root, log.titles
}

func TestAddNames(t *testing.T) {
	digits := func(content string) string { return digest.FromString(content).Encoded()[:shortDigest] }
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
	log := &skippedTitles{}
	f := &files{Manifest: Manifest{Layers: layers}, root: newFolder(), named: make([]bool, len(layers)), log: slog.New(log)}
	f.place("stated", Entry{Layer: 4})
	f.addNames(names)
	want := []string{
		"stated=4", "model-" + digits("a") + ".gguf=0", "license-" + digits("b") + "=1", "license-" + digits("c") + "=2",
		"config/*=5", "model-" + digits("f") + ".gguf=6", "text/config.json=9",
	}
	if got := paths(f.root, ""); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if want := []string{"stated", "../x"}; !slices.Equal(log.titles, want) {
		t.Errorf("skipped %q, want %q", log.titles, want)
	}
}

// TestAnnotationsWin gives layers that a format names the names that annotations
// state as well.
func TestAnnotationsWin(t *testing.T) {
	const ai, image = "application/vnd.docker.ai.", "application/vnd.ollama.image."
	for name, test := range map[string]struct {
		layers []ocispec.Descriptor
		want   []string
	}{
		"Docker": {[]ocispec.Descriptor{
			annotated(ai+"gguf.v3", annotationModelPath, "q4.gguf"), annotated(ai + "gguf.v3"),
			annotated(ai+"license", ocispec.AnnotationTitle, "COPYING"),
		}, []string{"COPYING=2", "q4.gguf=0", "model-00002-of-00002.gguf=1"}},
		"Ollama": {[]ocispec.Descriptor{
			annotated(image+"model", ocispec.AnnotationTitle, "t"), annotated(image+"model", annotationModelPath, "p"),
		}, []string{"t=0", "p=1"}},
	} {
		root, skipped := arranged(t, Manifest{Layers: test.layers})
		if got := paths(root, ""); !slices.Equal(got, test.want) || len(skipped) > 0 {
			t.Errorf("%s: %q, want %q; left out are %q", name, got, test.want, skipped)
		}
	}
}
