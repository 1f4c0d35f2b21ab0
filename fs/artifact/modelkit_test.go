package artifact

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestModelKit(t *testing.T) {
	const kit = "application/vnd.kitops.modelkit."
	tars := []ocispec.Descriptor{annotated(kit + "model.v1.tar"), annotated(kit + "code.v1.tar+gzip"), annotated(kit + "docs.v1.tar+zstd")}
	for _, test := range []struct {
		name   string
		config string
		layers []ocispec.Descriptor
		want   bool
	}{
		{"archives", mediaTypeKitConfig, tars, true},
		{"a hole, which is no reason to show nothing", mediaTypeKitConfig, append(tars[:3:3], ocispec.Descriptor{}), true},
		{"no config", "", tars, false},
		{"another config", "application/vnd.cncf.model.config.v1+json", tars, false},
		{"no layers", mediaTypeKitConfig, nil, false},
		{"not all archives", mediaTypeKitConfig, append(tars[:3:3], annotated(kit+"model.v1.raw")), false},
		{"a title", mediaTypeKitConfig, append(tars[:3:3], annotated(kit+"model.v1.tar", ocispec.AnnotationTitle, "model.tar")), false},
	} {
		m := Manifest{Layers: test.layers}
		if test.config != "" {
			m.Config = &ocispec.Descriptor{MediaType: test.config}
		}
		root, _ := arranged(t, m)
		if got := len(root.Archives) == 1 && root.Archives[0] == (Archive{Layer: AllLayers}) && len(root.Names) == 0; got != test.want {
			t.Errorf("%s: %t, want %t: %q", test.name, got, test.want, paths(root, ""))
		}
	}
}
