package artifact

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// isJSON tells whether content of that media type is JSON (RFC 6839, 3.1).
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// saysTar tells whether a media type says of a layer that it is a tar. The one
// that oras gives to every file doesn't.
func saysTar(mediaType string) bool {
	return isTar(mediaType) && mediaType != ocispec.MediaTypeImageLayer
}

// isTar tells whether a media type is a tar's, compressed or not. Docker writes
// the compression with a dot.
func isTar(mediaType string) bool {
	for _, end := range []string{".tar", "+tar", ".tar+gzip", ".tar.gzip", ".tar+zstd", ".tar.zstd"} {
		if strings.HasSuffix(mediaType, end) {
			return true
		}
	}
	return mediaType == "application/x-tar" || mediaType == "application/tar"
}

// mayBeArchive tells whether a media type leaves it possible that the content is
// an archive.
func mayBeArchive(mediaType string) bool {
	for _, end := range []string{"gzip", "zstd", "octet-stream"} {
		if strings.HasSuffix(mediaType, end) {
			return true
		}
	}
	return isTar(mediaType)
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
