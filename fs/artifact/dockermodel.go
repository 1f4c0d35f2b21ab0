package artifact

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of the weights of Docker's models, which may be in several files
// (docker/model-spec, "Layers").
const (
	mediaTypeDockerGGUF        = "application/vnd.docker.ai.gguf.v3"
	mediaTypeDockerSafetensors = "application/vnd.docker.ai.safetensors"
)

// dockerModelFiles are the names that the layers of Docker's models have once
// Docker's model runner has unpacked them, by media type. What it doesn't unpack
// has names like them. Of the archives, which it unpacks beside the weights, each
// is a directory.
var dockerModelFiles = map[string]string{
	mediaTypeDockerGGUF:                             "model.gguf",
	mediaTypeDockerSafetensors:                      "model.safetensors",
	"application/vnd.docker.ai.dduf":                "model.dduf",
	"application/vnd.docker.ai.mmproj":              "model.mmproj",
	"application/vnd.docker.ai.gguf.v3.mmproj":      "model.mmproj",
	"application/vnd.docker.ai.gguf.v3.lora":        "adapter.gguf",
	"application/vnd.docker.ai.chat.template.jinja": "template.jinja",
	"application/vnd.docker.ai.license":             "LICENSE",
	"application/vnd.docker.ai.vllm.config.tar":     "vllm.config",
	"application/vnd.docker.ai.dir.tar":             "dir",
}

// addDockerModel places the layers of one of Docker's models.
func (f *files) addDockerModel(context.Context) error {
	f.addNames(dockerModelNames(f.Layers))
	return nil
}

// dockerModelNames are the names of the layers of one of Docker's models, by
// their media types; "" of those that have others.
func dockerModelNames(layers []ocispec.Descriptor) []string {
	count := map[string]int{}
	for _, desc := range layers {
		count[desc.MediaType]++
	}
	number := map[string]int{}
	names := make([]string, len(layers))
	for i, desc := range layers {
		number[desc.MediaType]++
		weights := desc.MediaType == mediaTypeDockerGGUF || desc.MediaType == mediaTypeDockerSafetensors
		names[i] = dockerModelFiles[desc.MediaType]
		if weights && count[desc.MediaType] > 1 {
			// As the runtimes expect the parts of a model to be called.
			names[i] = fmt.Sprintf("model-%05d-of-%05d%s", number[desc.MediaType], count[desc.MediaType], extension(desc.MediaType))
		}
	}
	return names
}
