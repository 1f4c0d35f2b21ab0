package resolver

import (
	"encoding/json"
	"fmt"
	"mime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What kind a document is its bytes say, and nothing else: so it is the same
// document wherever it comes from, a registry, another one, a layout or a cache.
// What a registry says of it beside the bytes can only contradict them.

// Docker's media types mean the same as OCI's (image specification, "Media
// types", compatibility matrix).
const (
	mediaTypeDockerManifest   = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList       = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerConfig     = "application/vnd.docker.container.image.v1+json"
	mediaTypeDockerSchema1    = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1JWS = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	// mediaTypeArtifactManifest was in the release candidates of image
	// specification 1.1, and oras wrote it.
	mediaTypeArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json"
	// mediaTypeAny is that of a document of which nothing tells what it is.
	mediaTypeAny = "application/octet-stream"
)

// A documentKind is what a document is, whoever's media type it has.
type documentKind int

const (
	kindUnknown documentKind = iota
	kindManifest
	kindIndex
	kindArtifact
	kindSchema1
)

func kindOf(mediaType string) documentKind {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, mediaTypeDockerManifest:
		return kindManifest
	case ocispec.MediaTypeImageIndex, mediaTypeDockerList:
		return kindIndex
	case mediaTypeArtifactManifest:
		return kindArtifact
	case mediaTypeDockerSchema1, mediaTypeDockerSchema1JWS:
		return kindSchema1
	default:
		return kindUnknown
	}
}

// DocumentType is the media type of a document: the one that it states, in lower
// case and without parameters, else that of the kind whose fields it has. Those of
// two kinds (CVE-2021-41190), or of none, are as good as nothing:
// application/octet-stream.
func DocumentType(content []byte) string {
	var doc struct {
		SchemaVersion json.RawMessage `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		Manifests     json.RawMessage `json:"manifests"`
		Signatures    json.RawMessage `json:"signatures"`
	}
	if json.Unmarshal(content, &doc) != nil {
		return mediaTypeAny
	}
	if doc.MediaType != "" {
		if stated, _, err := mime.ParseMediaType(doc.MediaType); err == nil {
			return stated
		}
		return mediaTypeAny
	}
	// A manifest has a version; an image's config, which has a field "config" too,
	// has none.
	isManifest, isIndex := isThere(doc.Config) || isThere(doc.Layers), isThere(doc.Manifests)
	switch version := string(doc.SchemaVersion); {
	case version == "2" && isIndex && !isManifest:
		return ocispec.MediaTypeImageIndex
	case version == "2" && isManifest && !isIndex:
		return ocispec.MediaTypeImageManifest
	case version == "1" && isThere(doc.Signatures):
		return mediaTypeDockerSchema1JWS
	case version == "1":
		return mediaTypeDockerSchema1
	}
	return mediaTypeAny
}

// isThere tells whether a document has a field: null is none.
func isThere(field json.RawMessage) bool { return field != nil && string(field) != "null" }

// Contradiction is why a document can't be what its source calls it by a media
// type: the source means one kind of document, and the bytes are another. nil is
// that it can. Who says no kind (application/json, text/html) says nothing.
func Contradiction(mediaType string, content []byte) error {
	told := kindOf(mediaType)
	if told == kindUnknown {
		return nil
	}
	own := DocumentType(content)
	if k := kindOf(own); k == kindUnknown || k == told {
		return nil
	}
	return fmt.Errorf("it came as %q, and its bytes are %q: refused", mediaType, own)
}
