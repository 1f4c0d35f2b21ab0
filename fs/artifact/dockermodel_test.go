package artifact

import (
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestDockerModelNames(t *testing.T) {
	const ai = "application/vnd.docker.ai."
	plain := func(mediaTypes ...string) []ocispec.Descriptor {
		var layers []ocispec.Descriptor
		for _, mediaType := range mediaTypes {
			layers = append(layers, ocispec.Descriptor{MediaType: mediaType})
		}
		return layers
	}
	for _, test := range []struct {
		name   string
		layers []ocispec.Descriptor
		want   []string
	}{
		{"one of each", plain(ai+"gguf.v3", ai+"license", ai+"mmproj", ai+"chat.template.jinja", ai+"gguf.v3.lora", ai+"vllm.config.tar", ai+"dduf"),
			[]string{"model.gguf", "LICENSE", "model.mmproj", "template.jinja", "adapter.gguf", "vllm.config", "model.dduf"}},
		{"parts", plain(ai+"gguf.v3", ai+"license", ai+"gguf.v3", ai+"gguf.v3"),
			[]string{"model-00001-of-00003.gguf", "LICENSE", "model-00002-of-00003.gguf", "model-00003-of-00003.gguf"}},
		{"parts of safetensors", plain(ai+"safetensors", ai+"safetensors"),
			[]string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}},
		{"one of safetensors", plain(ai + "safetensors"), []string{"model.safetensors"}},
		{"others", plain(ai+"model.file", "application/vnd.oci.image.layer.v1.tar", ""), []string{"", "", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := dockerModelNames(test.layers); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
