package resolver

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

func TestParseImageConfig(t *testing.T) {
	created := time.Date(2015, 10, 31, 22, 22, 56, 15925234, time.UTC)
	arm := ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	tests := []struct {
		name, content string
		want          ImageConfig
	}{
		{"all", `{"created":"2015-10-31T22:22:56.015925234Z","os":"linux","architecture":"arm","variant":"v7","rootfs":{"type":"layers","diff_ids":["` + sha256Digest + `","nonsense"]}}`, ImageConfig{created, arm, []digest.Digest{sha256Digest, ""}}},
		{"another zone", `{"created":"2015-11-01T00:22:56.015925234+02:00"}`, ImageConfig{Created: created}},
		{"nothing", `{}`, ImageConfig{}},
		{"broken time", `{"created":"yesterday","os":"linux","architecture":"arm","variant":"v7"}`, ImageConfig{Platform: arm}},
		{"time of another type", `{"created":1,"os":"linux","architecture":"arm","variant":"v7"}`, ImageConfig{Platform: arm}},
		{"null", `{"created":null,"os":null}`, ImageConfig{}},
		{"long os", `{"os":"` + strings.Repeat("x", maxPlatform+1) + `","architecture":"arm"}`, ImageConfig{Platform: ocispec.Platform{Architecture: "arm"}}},
	}
	for _, test := range tests {
		got, err := ParseImageConfig([]byte(test.content))
		if err != nil || !got.Created.Equal(test.want.Created) || got.Platform.OS != test.want.Platform.OS ||
			got.Platform.Architecture != test.want.Platform.Architecture || got.Platform.Variant != test.want.Platform.Variant || !slices.Equal(got.DiffIDs, test.want.DiffIDs) {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	for _, content := range []string{``, `[]`, `{`, `{"os":1}`, `"x"`} {
		if got, err := ParseImageConfig([]byte(content)); err == nil {
			t.Errorf("%q: %+v", content, got)
		}
	}
	_, err := ParseImageConfig(make([]byte, maxImageConfig+1))
	if !errors.Is(err, errdef.ErrSizeExceedsLimit) {
		t.Errorf("too large: error %v", err)
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
		if got := IsImageConfig(mediaType); got != want {
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
		config, err := ParseImageConfig(content)
		p := config.Platform
		if len(p.OS) > maxPlatform || len(p.Architecture) > maxPlatform || len(p.Variant) > maxPlatform {
			t.Fatalf("%+v", p)
		}
		if err != nil && (!config.Created.IsZero() || p.OS != "") {
			t.Fatalf("%+v and %v", config, err)
		}
	})
}
