package artifact

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func platformed(content, os, architecture, variant string) ocispec.Descriptor {
	return ocispec.Descriptor{
		Digest:   digest.FromString(content),
		Platform: &ocispec.Platform{OS: os, Architecture: architecture, Variant: variant},
	}
}

func TestNamePlatforms(t *testing.T) {
	digits := func(content string) string { return digest.FromString(content).Encoded()[:shortDigest] }
	manifests := []ocispec.Descriptor{
		platformed("a", "linux", "amd64", ""),
		platformed("b", "linux", "arm", "v7"),
		platformed("c", "unknown", "unknown", ""),
		platformed("d", "unknown", "unknown", ""),
		platformed("a", "linux", "amd64", ""),
		{Digest: digest.FromString("e")},
		platformed("f", "..", "", ""),
		platformed("g", "a\x00", "b", ""),
		platformed("h", "a/b", "../c", ""),
	}
	want := []string{
		"linux-amd64", "linux-arm-v7", "unknown-unknown-" + digits("c"), "unknown-unknown-" + digits("d"), "",
		digits("e"), "..-", digits("g"), "a-b-..-c",
	}
	if got := namePlatforms(manifests); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHost(t *testing.T) {
	manifests := []ocispec.Descriptor{
		{Digest: digest.FromString("none")},
		platformed("a", "linux", "amd64", ""), platformed("b", "linux", "arm", "v6"), platformed("c", "linux", "arm", "v7"),
	}
	for want, i := range map[string]int{"linux/amd64": 1, "linux/arm": 2, "linux/arm/v7": 3, "linux/arm/v5": -1, "windows/amd64": -1} {
		p := ocispec.Platform{}
		parts := append(strings.Split(want, "/"), "")
		p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
		if got := Host(manifests, p); got != i {
			t.Errorf("%s: manifest %d, want %d", want, got, i)
		}
	}
}
