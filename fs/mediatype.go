package fs

import "strings"

// isJSON tells whether content of that media type is JSON (RFC 6839, 3.1).
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// extension gives the end of a file name that fits a media type: what a person
// or a program would expect of such a file. It is empty where nothing fits.
func extension(mediaType string) string {
	for _, e := range extensions {
		if strings.HasSuffix(mediaType, e.mediaType) {
			return e.extension
		}
	}
	return ""
}

// extensions goes from the particular to the general: the first whose media
// type is the end of the one asked for holds.
var extensions = []struct{ mediaType, extension string }{
	{".cncf.helm.chart.content.v1.tar+gzip", ".tgz"},
	{".cncf.helm.chart.provenance.v1.prov", ".prov"},
	{".tar+gzip", ".tar.gz"},
	{".tar.gzip", ".tar.gz"}, // Docker's
	{"application/gzip", ".gz"},
	{"application/x-gzip", ".gz"},
	{"+gzip", ".gz"},
	{".tar+zstd", ".tar.zst"},
	{".tar.zstd", ".tar.zst"},
	{"application/zstd", ".zst"},
	{"+zstd", ".zst"},
	{".tar", ".tar"},
	{"application/x-tar", ".tar"},
	{"+tar", ".tar"},
	{"+json", ".json"},
	{"application/json", ".json"},
	{"application/vnd.oci.empty.v1+json", ".json"},
	{"+yaml", ".yaml"},
	{"application/yaml", ".yaml"},
	{"+xml", ".xml"},
	{"application/xml", ".xml"},
	{"text/html", ".html"},
	{"text/markdown", ".md"},
	{"text/plain", ".txt"},
	{"application/pdf", ".pdf"},
	{"+zip", ".zip"},
	{"application/zip", ".zip"},
	{"application/wasm", ".wasm"},
	{".wasm.content.layer.v1+wasm", ".wasm"},
	{"+wasm", ".wasm"},
	// Models: ModelPack's, Docker's and Ollama's.
	{".gguf", ".gguf"},
	{"+gguf", ".gguf"},
	{".docker.ai.gguf.v3", ".gguf"},
	{".docker.ai.gguf.v3.lora", ".gguf"},
	{".mmproj", ".mmproj"},
	{".safetensors", ".safetensors"},
	{".jinja", ".jinja"},
	{".dduf", ".dduf"},
	{".ollama.image.model", ".gguf"},
	{".ollama.image.adapter", ".gguf"},
	{".ollama.image.projector", ".gguf"},
	{".ollama.image.draft", ".gguf"},
	{".ollama.image.tensor", ".safetensors"},
	{".ollama.image.params", ".json"},
	{".ollama.image.messages", ".json"},
	{".ollama.image.json", ".json"},
}
