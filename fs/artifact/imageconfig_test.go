package artifact

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParseImageConfig(t *testing.T) {
	layer := digest.FromString("layer")
	created := time.Date(2015, 10, 31, 22, 22, 56, 15925234, time.UTC)
	arm := ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	tests := []struct {
		name, content string
		want          imageConfig
	}{
		{"all", `{"created":"2015-10-31T22:22:56.015925234Z","os":"linux","architecture":"arm","variant":"v7","rootfs":{"type":"layers","diff_ids":["` + layer.String() + `","nonsense"]}}`, imageConfig{created, arm, []digest.Digest{layer, ""}}},
		{"another zone", `{"created":"2015-11-01T00:22:56.015925234+02:00"}`, imageConfig{created: created}},
		{"nothing", `{}`, imageConfig{}},
		{"broken time", `{"created":"yesterday","os":"linux","architecture":"arm","variant":"v7"}`, imageConfig{platform: arm}},
		{"time of another type", `{"created":1,"os":"linux","architecture":"arm","variant":"v7"}`, imageConfig{platform: arm}},
		{"null", `{"created":null,"os":null}`, imageConfig{}},
		{"long os", `{"os":"` + strings.Repeat("x", maxPlatform+1) + `","architecture":"arm"}`, imageConfig{platform: ocispec.Platform{Architecture: "arm"}}},
	}
	for _, test := range tests {
		got, err := parseImageConfig([]byte(test.content))
		if err != nil || !got.created.Equal(test.want.created) || got.platform.OS != test.want.platform.OS ||
			got.platform.Architecture != test.want.platform.Architecture || got.platform.Variant != test.want.platform.Variant || !slices.Equal(got.diffIDs, test.want.diffIDs) {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	for _, content := range []string{``, `[]`, `{`, `{"os":1}`, `"x"`} {
		if got, err := parseImageConfig([]byte(content)); err == nil {
			t.Errorf("%q: %+v", content, got)
		}
	}
}

func TestIsImageConfig(t *testing.T) {
	for mediaType, want := range map[string]bool{
		ocispec.MediaTypeImageConfig:                     true,
		"application/vnd.docker.container.image.v1+json": true,
		ocispec.MediaTypeEmptyJSON:                       false,
		"application/vnd.cncf.helm.config.v1+json":       false,
		"": false,
	} {
		if got := isImageConfig(mediaType); got != want {
			t.Errorf("%q: %v", mediaType, got)
		}
	}
}

func FuzzParseImageConfig(f *testing.F) {
	for _, seed := range []string{
		`{"created":"2015-10-31T22:22:56.015925234Z","os":"linux","architecture":"arm","variant":"v7"}`, `{"created":1}`, `null`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		config, err := parseImageConfig(content)
		p := config.platform
		if len(p.OS) > maxPlatform || len(p.Architecture) > maxPlatform || len(p.Variant) > maxPlatform {
			t.Fatalf("%+v", p)
		}
		if err != nil && (!config.created.IsZero() || p.OS != "") {
			t.Fatalf("%+v and %v", config, err)
		}
	})
}
