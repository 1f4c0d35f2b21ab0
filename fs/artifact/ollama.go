package artifact

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What the media types of the layers of Ollama's models begin with
// (ollama/ollama, package manifest). What follows says what the layer is: model,
// template, params, license.
const mediaTypeOllama = "application/vnd.ollama.image."

const mediaTypeOllamaTensor = mediaTypeOllama + "tensor"

// addOllama places the layers of one of Ollama's models.
func (f *files) addOllama(context.Context) error {
	if slices.ContainsFunc(f.Layers, isOllama) {
		f.addNames(f.ollamaNames())
	}
	return nil
}

// ollamaNames are the names of the layers of one of Ollama's models: those that
// the manifest gives them, else what they are; "" of other layers.
func (m Manifest) ollamaNames() []string {
	names := make([]string, len(m.Layers))
	given := ollamaGiven(m.Content, len(m.Layers))
	for i, desc := range m.Layers {
		kind, _ := strings.CutPrefix(desc.MediaType, mediaTypeOllama)
		switch {
		case !isOllama(desc):
		case given[i] == "":
			names[i] = kind + extension(desc.MediaType)
		case desc.MediaType == mediaTypeOllamaTensor:
			// A tensor's own name; the file is one of safetensors.
			names[i] = given[i] + extension(desc.MediaType)
		default:
			names[i] = given[i]
		}
	}
	return names
}

func isOllama(desc ocispec.Descriptor) bool {
	return strings.HasPrefix(desc.MediaType, mediaTypeOllama)
}

// ollamaGiven are the names that a manifest gives its layers, which is Ollama's
// own addition to a descriptor: of the tensors and the JSON files of a model
// whose weights aren't in one file. "" is none.
func ollamaGiven(manifest []byte, layers int) []string {
	given := make([]string, layers)
	var m struct {
		Layers []struct {
			Name any `json:"name"`
		} `json:"layers"`
	}
	// It has been parsed before: what doesn't fit here are no layers.
	if err := json.Unmarshal(manifest, &m); err != nil || len(m.Layers) != layers {
		return given
	}
	for i, l := range m.Layers {
		given[i], _ = l.Name.(string)
	}
	return given
}
