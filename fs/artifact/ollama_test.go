package artifact

import (
	"encoding/json"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestOllamaNames(t *testing.T) {
	const image = "application/vnd.ollama.image."
	type layer = map[string]any
	for _, test := range []struct {
		name   string
		layers []layer
		want   []string
	}{
		{"one of each", []layer{
			{"mediaType": image + "model"}, {"mediaType": image + "adapter"}, {"mediaType": image + "projector"},
			{"mediaType": image + "template"}, {"mediaType": image + "system"}, {"mediaType": image + "params"},
			{"mediaType": image + "license"}, {"mediaType": image + "messages"}, {"mediaType": image + "prompt"},
		}, []string{"model.gguf", "adapter.gguf", "projector.gguf", "template", "system", "params.json", "license", "messages.json", "prompt"}},
		{"with names", []layer{
			{"mediaType": image + "tensor", "name": "text_encoder/model.embed_tokens.weight"}, {"mediaType": image + "json", "name": "config.json"},
			{"mediaType": image + "tensor"}, {"mediaType": image + "json", "name": 7}, {"mediaType": image + "tensor", "name": "../x"},
		}, []string{"text_encoder/model.embed_tokens.weight.safetensors", "config.json", "tensor.safetensors", "json.json", "../x.safetensors"}},
		{"others", []layer{{"mediaType": image + "model"}, {"mediaType": "application/vnd.example", "name": "x"}}, []string{"model.gguf", ""}},
		{"no model", []layer{{"mediaType": "application/vnd.example", "name": "x"}}, []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := manifestOf(t, test.layers).ollamaNames(); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// manifestOf is a manifest that has those layers.
func manifestOf(t testing.TB, layers any) Manifest {
	t.Helper()
	content, err := json.Marshal(map[string]any{"layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{Content: content}
	if err := json.Unmarshal(content, &struct {
		Layers *[]ocispec.Descriptor `json:"layers"`
	}{&m.Layers}); err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzOllamaNames reads any document as a manifest.
func FuzzOllamaNames(f *testing.F) {
	for _, document := range []string{
		`{"layers":[{"name":"a"},{"name":["b"]},{}]}`, `{"layers":[{"name":"a"}]}`, `{"layers":[{},{},{},{"name":"a"}]}`, `{"layers":{}}`, `{"layers":null}`, `[`, ``,
	} {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		if got := ollamaGiven(document, 3); len(got) != 3 {
			t.Errorf("%q gives %q to three layers", document, got)
		}
	})
}
