package artifact

import "testing"

// TestModelExtensions looks at the names that the layers of models end with in
// layers/.
func TestModelExtensions(t *testing.T) {
	for mediaType, want := range map[string]string{
		"application/vnd.docker.ai.gguf.v3":                 ".gguf",
		"application/vnd.docker.ai.gguf.v3.lora":            ".gguf",
		"application/vnd.docker.ai.model.file.v1+gguf":      ".gguf",
		"application/vnd.docker.ai.mmproj":                  ".mmproj",
		"application/vnd.docker.ai.safetensors":             ".safetensors",
		"application/vnd.docker.ai.chat.template.jinja":     ".jinja",
		"application/vnd.docker.ai.vllm.config.tar":         ".tar",
		"application/vnd.docker.ai.license":                 "",
		"application/vnd.cncf.model.weight.v1.gguf":         ".gguf",
		"application/vnd.cncf.model.weight.v1.safetensors":  ".safetensors",
		"application/vnd.cncf.model.weight.v1.raw":          "",
		"application/vnd.cncf.model.weight.v1.tar+zstd":     ".tar.zst",
		"application/vnd.kitops.modelkit.model.v1.tar+gzip": ".tar.gz",
		"application/vnd.ollama.image.model":                ".gguf",
		"application/vnd.ollama.image.tensor":               ".safetensors",
		"application/vnd.ollama.image.params":               ".json",
		"application/vnd.ollama.image.template":             "",
	} {
		if got := extension(mediaType); got != want {
			t.Errorf("%s ends with %q, want %q", mediaType, got, want)
		}
	}
}
