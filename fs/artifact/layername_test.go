package artifact

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestNameLayers(t *testing.T) {
	d := digest.FromString("layer")
	hex := d.Encoded()[:shortDigest]
	layer := func(mediaType, title string) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: d}
		if title != "" {
			desc.Annotations = map[string]string{ocispec.AnnotationTitle: title}
		}
		return desc
	}
	descs := []ocispec.Descriptor{
		layer("text/plain", "artifact.txt"),
		layer("text/plain", "docs/readme.md"),
		layer("application/vnd.oci.image.layer.v1.tar+gzip", ""),
		layer("application/vnd.docker.image.rootfs.diff.tar.gzip", ""),
		layer("application/vnd.oci.image.layer.v1.tar+zstd", ""),
		layer("application/vnd.oci.image.layer.v1.tar", ""),
		layer("application/vnd.oci.empty.v1+json", ""),
		layer("application/vnd.example", ""),
		layer("application/json", "a/.."),
		layer("application/json", "a\x00b"),
		layer("application/json", strings.Repeat("n", 253)),
		layer("application/json", strings.Repeat("n", 252)),
		layer("application/json", "trailing/"),
	}
	want := []string{
		"00-artifact.txt", "01-readme.md", "02-" + hex + ".tar.gz", "03-" + hex + ".tar.gz", "04-" + hex + ".tar.zst", "05-" + hex + ".tar",
		"06-" + hex + ".json", "07-" + hex, "08-..", "09-" + hex + ".json", "10-" + hex + ".json", "11-" + strings.Repeat("n", 252), "12-" + hex + ".json",
	}
	var names []string
	for _, l := range nameLayers(descs, false) {
		names = append(names, l.Raw)
	}
	if !slices.Equal(names, want) {
		t.Errorf("names\n%q, want\n%q", names, want)
	}

	many := nameLayers(make1000(layer("application/json", "x")), false)
	if many[0].Raw != "000-x" || many[999].Raw != "999-x" {
		t.Errorf("of 1000 layers the first is %s, the last %s", many[0].Raw, many[999].Raw)
	}
	holed := nameLayers([]ocispec.Descriptor{descs[0], {}, descs[1]}, true)
	if holed[0].Raw != "00-artifact.txt" || holed[1] != (LayerName{}) || holed[2].Raw != "02-readme.md" {
		t.Errorf("beside a hole the names are %+v", holed)
	}
	if len(nameLayers(nil, false)) != 0 {
		t.Error("no layers have names")
	}
}

func make1000(desc ocispec.Descriptor) []ocispec.Descriptor {
	return slices.Repeat([]ocispec.Descriptor{desc}, 1000)
}
