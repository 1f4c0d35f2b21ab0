package artifact

import "testing"

func TestConfigName(t *testing.T) {
	for mediaType, want := range map[string]string{
		"application/vnd.oci.image.config.v1+json":       "config.json",
		"application/vnd.docker.container.image.v1+json": "config.json",
		"application/json":                               "config.json",
		"application/vnd.oci.empty.v1+json":              "config.json",
		"application/vnd.example.config":                 "config",
		"":                                               "config",
	} {
		if got := ConfigName(mediaType); got != want {
			t.Errorf("%q is %s, want %s", mediaType, got, want)
		}
	}
}
