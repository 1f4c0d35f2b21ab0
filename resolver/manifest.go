package resolver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

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
)

const (
	// MaxManifest is the size of the largest manifest that is read, in bytes,
	// which is what the distribution specification has registries take at least.
	MaxManifest = 4 << 20
	// maxDescriptors bounds those in one manifest. The shortest has some 100
	// bytes, so that MaxManifest holds four times as many.
	maxDescriptors = 10_000
	// maxAnnotations bounds those in one manifest, all descriptors together.
	maxAnnotations = 10_000
)

// A Manifest is what a manifest or an index says. Every descriptor in it has a
// valid digest and a size, and Data only where that is its content.
type Manifest struct {
	Digest    digest.Digest
	MediaType string // the document's own, else the registry's
	Size      int64

	ArtifactType string // where the document gives none, its config's media type
	Config       *ocispec.Descriptor
	Layers       []ocispec.Descriptor // of an artifact manifest, its blobs
	Manifests    []ocispec.Descriptor // of an index
	Subject      *ocispec.Descriptor
	Annotations  map[string]string

	Content []byte // the document, byte for byte
}

// IsIndex tells whether the document lists manifests.
func (m *Manifest) IsIndex() bool { return kindOf(m.MediaType) == kindIndex }

// A kind is what a document is, whoever's media type it has.
type kind int

const (
	kindUnknown kind = iota
	kindManifest
	kindIndex
	kindArtifact
	kindSchema1
)

func kindOf(mediaType string) kind {
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

// A document is the union of all that a manifest of any kind holds.
type document struct {
	SchemaVersion int                 `json:"schemaVersion"`
	MediaType     string              `json:"mediaType"`
	ArtifactType  string              `json:"artifactType"`
	Config        *ocispec.Descriptor `json:"config"`
	Layers        descriptors         `json:"layers"`
	Blobs         descriptors         `json:"blobs"`
	Manifests     descriptors         `json:"manifests"`
	Subject       *ocispec.Descriptor `json:"subject"`
	Annotations   map[string]string   `json:"annotations"`
}

// descriptors are decoded one by one, so that a small document can't fill
// memory with empty ones.
type descriptors []ocispec.Descriptor

// UnmarshalJSON implements json.Unmarshaler.
func (ds *descriptors) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	if token, err := decoder.Token(); err != nil || token == nil {
		return err // null is none
	} else if token != json.Delim('[') {
		return errors.New("descriptors are no array")
	}
	*ds = descriptors{}
	for decoder.More() {
		if len(*ds) == maxDescriptors {
			return fmt.Errorf("more than %d descriptors: %w", maxDescriptors, errdef.ErrSizeExceedsLimit)
		}
		var desc ocispec.Descriptor
		if err := decoder.Decode(&desc); err != nil {
			return fmt.Errorf("descriptor %d: %w", len(*ds), err)
		}
		*ds = append(*ds, desc)
	}
	return nil
}

// ParseManifest reads a document of at most MaxManifest bytes that came with
// that media type: a manifest or an index, of OCI or of Docker's schema 2, or
// an OCI artifact manifest. Docker's schema 1 and what is none of these is
// errdef.ErrUnsupported. A document that contradicts its media type or itself is
// an error.
//
// It doesn't compare the content with d; [Repository.Manifest] does.
func ParseManifest(d digest.Digest, mediaType string, content []byte) (*Manifest, error) {
	m, err := parseManifest(d, mediaType, content)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	return m, nil
}

func parseManifest(d digest.Digest, mediaType string, content []byte) (*Manifest, error) {
	if len(content) > MaxManifest {
		return nil, fmt.Errorf("more than %d bytes: %w", MaxManifest, errdef.ErrSizeExceedsLimit)
	}
	if bytes.Count(content, []byte(",")) > maxElements {
		return nil, fmt.Errorf("more than %d values: %w", maxElements, errdef.ErrSizeExceedsLimit)
	}
	mediaType = documentType(mediaType, content)
	k := kindOf(mediaType)
	if k == kindUnknown || k == kindSchema1 {
		return nil, fmt.Errorf("media type %q: %w", mediaType, errdef.ErrUnsupported)
	}
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, err
	}
	if err := doc.check(k, maxAnnotations); err != nil {
		return nil, err
	}
	m := &Manifest{
		Digest:       d,
		MediaType:    mediaType,
		Size:         int64(len(content)),
		ArtifactType: doc.ArtifactType,
		Config:       doc.Config,
		Layers:       append(doc.Layers, doc.Blobs...),
		Manifests:    doc.Manifests,
		Subject:      doc.Subject,
		Annotations:  doc.Annotations,
		Content:      content,
	}
	if doc.MediaType != "" {
		m.MediaType = doc.MediaType
	}
	if m.ArtifactType == "" && m.Config != nil {
		m.ArtifactType = m.Config.MediaType
	}
	return m, nil
}

// check refuses a document that isn't of that kind, holds a descriptor that isn't
// one, or more annotations than that.
func (doc *document) check(k kind, maxAnnotations int) error {
	if doc.MediaType != "" && kindOf(doc.MediaType) != k {
		return fmt.Errorf("it says it is %q and came as something else", doc.MediaType)
	}
	// A document with the fields of two kinds could mean one thing here and
	// another elsewhere: CVE-2021-41190.
	isManifest := doc.Config != nil || doc.Layers != nil
	if isManifest && k != kindManifest || doc.Manifests != nil && k != kindIndex || doc.Blobs != nil && k != kindArtifact {
		return errors.New("its fields are not those of its media type")
	}
	if doc.SchemaVersion != 2 && (doc.SchemaVersion != 0 || k != kindArtifact) {
		return fmt.Errorf("schema version %d: %w", doc.SchemaVersion, errdef.ErrUnsupported)
	}
	annotations := len(doc.Annotations)
	for _, list := range []struct {
		name        string
		descriptors []ocispec.Descriptor
	}{
		{"layer", doc.Layers}, {"blob", doc.Blobs}, {"manifest", doc.Manifests},
	} {
		for i := range list.descriptors {
			if err := settle(&list.descriptors[i]); err != nil {
				return fmt.Errorf("%s %d: %w", list.name, i, err)
			}
			annotations += len(list.descriptors[i].Annotations)
		}
	}
	if doc.Config != nil {
		if err := settle(doc.Config); err != nil {
			return fmt.Errorf("config: %w", err)
		}
	}
	if doc.Subject != nil {
		if err := settle(doc.Subject); err != nil {
			return fmt.Errorf("subject: %w", err)
		}
	}
	if annotations > maxAnnotations {
		return fmt.Errorf("more than %d annotations: %w", maxAnnotations, errdef.ErrSizeExceedsLimit)
	}
	return nil
}

// settle checks a descriptor, and drops its data where that isn't its content.
func settle(desc *ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest); err != nil {
		return err
	}
	if desc.Size < 0 {
		return fmt.Errorf("its size is %d", desc.Size)
	}
	if !embedded(*desc) {
		desc.Data = nil
	}
	return nil
}

// embedded tells whether a descriptor carries its content (image
// specification, "Embedded content").
func embedded(desc ocispec.Descriptor) bool {
	return desc.Data != nil && int64(len(desc.Data)) == desc.Size && verify(desc.Data, desc.Digest) == nil
}

// documentType is the media type of a document that came as mediaType. Where
// that names no kind of document (Ollama's registry serves text/plain) it is
// the one that the document gives, or else has the fields of; mediaType where
// there is none.
func documentType(mediaType string, content []byte) string {
	switch mediaType {
	case "", "text/plain", "application/json", "application/octet-stream":
	default:
		return mediaType
	}
	var doc struct {
		SchemaVersion json.RawMessage `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(content, &doc) != nil {
		return mediaType
	}
	switch {
	case kindOf(doc.MediaType) != kindUnknown:
		return doc.MediaType
	case doc.MediaType != "":
		return mediaType
	case doc.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	case doc.Config != nil || doc.Layers != nil:
		return ocispec.MediaTypeImageManifest
	case string(doc.SchemaVersion) == "1":
		return mediaTypeDockerSchema1
	default:
		return mediaType
	}
}
