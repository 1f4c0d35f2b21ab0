package artifact

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestChart looks at the names of a chart's layers: Helm's, but for a layer that
// has a title.
func TestChart(t *testing.T) {
	const title = ocispec.AnnotationTitle
	content, provenance := annotated(mediaTypeChartContent), annotated(mediaTypeChartProvenance)
	for _, test := range []struct {
		name   string
		config string
		layers []ocispec.Descriptor
		want   []string
	}{
		{"a chart", `{"name":"web","version":"1.2.3"}`, []ocispec.Descriptor{content}, []string{"web-1.2.3.tgz=0", "web=0"}},
		{"signed", `{"name":"web","version":"1"}`, []ocispec.Descriptor{provenance, content}, []string{"web-1.tgz=1", "web=1", "web-1.tgz.prov=0"}},
		{"with titles", `{"name":"web","version":"1"}`, []ocispec.Descriptor{
			annotated(mediaTypeChartContent, title, "web-1.tgz"), annotated(mediaTypeChartProvenance, title, "web-1.tgz.prov"),
		}, []string{"web-1.tgz=0", "web-1.tgz.prov=1"}},
		{"with other titles", `{"name":"web","version":"1"}`, []ocispec.Descriptor{
			annotated(mediaTypeChartContent, title, "charts/mine.tgz"), content, provenance, annotated("text/plain", title, "README.md"),
		}, []string{"charts/mine.tgz=0", "README.md=3", "web-1.tgz=1", "web=1", "web-1.tgz.prov=2"}},
		{"a title that is the chart's", `{"name":"web","version":"1"}`, []ocispec.Descriptor{content, annotated("text/plain", title, "web")}, []string{"web=1", "web-1.tgz=0"}},
		{"a hostile name", `{"name":"../web","version":"1"}`, []ocispec.Descriptor{content}, nil},
		{"a hostile version", `{"name":"web","version":"1/../.."}`, []ocispec.Descriptor{content}, nil},
		{"no name", `{}`, []ocispec.Descriptor{content}, nil},
		{"no JSON", `web`, []ocispec.Descriptor{content}, nil},
		{"not to be read", "", []ocispec.Descriptor{content, annotated("text/plain", title, "README.md")}, []string{"README.md=1"}},
	} {
		read := func(context.Context, ocispec.Descriptor) ([]byte, error) {
			if test.config == "" {
				return nil, errors.New("it is gone")
			}
			return []byte(test.config), nil
		}
		m := Manifest{Config: &ocispec.Descriptor{MediaType: mediaTypeChartConfig}, Layers: test.layers}
		root := arrange(t.Context(), m, read, slog.New(slog.DiscardHandler))
		if got := paths(root, ""); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		for name, e := range root.Children {
			if (e.As == Chart) != (name == "web" && test.layers[e.Layer].MediaType == mediaTypeChartContent) {
				t.Errorf("%s: %s is %+v", test.name, name, e)
			}
		}
	}
}

func TestChartPath(t *testing.T) {
	for name, want := range map[string]string{ // "" is an error
		"web/Chart.yaml":                  "Chart.yaml",
		"other/templates/a.yaml":          "templates/a.yaml",
		`web\Chart.yaml`:                  "Chart.yaml",
		`web\templates\sub\a.yaml`:        "templates/sub/a.yaml",
		`web\templates/a.yaml`:            "templates/a.yaml",
		`out/web\templates\a.yaml`:        "templates/a.yaml",
		`web\charts\..\values.yaml`:       "values.yaml",
		"Chart.yaml":                      "",
		"":                                "",
		`web\`:                            "",
		`web\..\..\etc\passwd`:            "",
		`web\\etc\passwd`:                 "",
		`web\..`:                          "",
		`web\` + strings.Repeat("n", 256): "",
	} {
		elements, err := ChartPath(name)
		if got := strings.Join(elements, "/"); got != want || (err != nil) != (want == "") {
			t.Errorf("%q is at %q (%v), want %q", name, got, err, want)
		}
	}
}

// FuzzChart reads any config as a chart's: it gives names that can be in a
// directory, or none.
func FuzzChart(f *testing.F) {
	for _, config := range []string{
		`{"name":"web","version":"1.2.3"}`, `{"name":"../web","version":"1"}`, `{"name":"web","version":"/"}`, `{"name":"","version":""}`,
		`{"name":["web"]}`, `{"name":"."}`, `{"name":"a\u0000"}`, `null`, `[`, ``,
	} {
		f.Add([]byte(config))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		m := Manifest{Config: &ocispec.Descriptor{MediaType: mediaTypeChartConfig}, Layers: []ocispec.Descriptor{
			annotated(mediaTypeChartContent), annotated(mediaTypeChartProvenance),
		}}
		read := func(context.Context, ocispec.Descriptor) ([]byte, error) { return config, nil }
		root := arrange(t.Context(), m, read, slog.New(slog.DiscardHandler))
		if n := len(root.Names); n != 0 && n != 3 {
			t.Errorf("%q names %q", config, root.Names)
		}
		for _, name := range root.Names {
			if checkElement(name) != nil {
				t.Errorf("%q gives the name %q", config, name)
			}
		}
	})
}

func FuzzChartPath(f *testing.F) {
	for _, name := range []string{"web/Chart.yaml", `web\templates\a.yaml`, `web\..\x`, `a/b\c`, "", `\`, "/"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		elements, err := ChartPath(name)
		if err == nil && len(elements) == 0 {
			t.Errorf("%q is at no path", name)
		}
		for _, e := range elements {
			if checkElement(e) != nil {
				t.Errorf("%q has the element %q", name, e)
			}
		}
	})
}
