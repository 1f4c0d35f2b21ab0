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
// valid digest and a size, and Data only where that is its content. One that isn't
// so is left out: of the layers, each of which is known by its number, a hole
// without a digest takes its place.
type Manifest struct {
	Digest    digest.Digest
	MediaType string // see DocumentType
	Size      int64

	ArtifactType string // where the document gives none, its config's media type
	Config       *ocispec.Descriptor
	Layers       []ocispec.Descriptor // of an artifact manifest, its blobs; with holes
	Manifests    []ocispec.Descriptor // of an index
	Subject      *ocispec.Descriptor
	Annotations  map[string]string

	LeftOut error  // which descriptors are left out, and why; nil is none
	Content []byte // the document, byte for byte
}

// IsIndex tells whether the document lists manifests.
func (m *Manifest) IsIndex() bool { return kindOf(m.MediaType) == kindIndex }

// A document is the union of all that a manifest of any kind holds.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *part             `json:"config"`
	Layers        parts             `json:"layers"`
	Blobs         parts             `json:"blobs"`
	Manifests     parts             `json:"manifests"`
	Subject       *part             `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// ParseManifest reads a document of at most MaxManifest bytes: a manifest or an
// index, of OCI or of Docker's schema 2, or an OCI artifact manifest, by its
// [DocumentType]. Docker's schema 1 and what is none of these is
// errdef.ErrUnsupported. A document that contradicts itself is an error; one
// descriptor that isn't any is left out.
//
// It doesn't compare the content with d; [Repository.Manifest] does.
func ParseManifest(d digest.Digest, content []byte) (*Manifest, error) {
	m, err := parseManifest(d, content)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	return m, nil
}

func parseManifest(d digest.Digest, content []byte) (*Manifest, error) {
	if len(content) > MaxManifest {
		return nil, fmt.Errorf("more than %d bytes: %w", MaxManifest, errdef.ErrSizeExceedsLimit)
	}
	if bytes.Count(content, []byte(",")) > maxElements {
		return nil, fmt.Errorf("more than %d values: %w", maxElements, errdef.ErrSizeExceedsLimit)
	}
	mediaType := DocumentType(content)
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
		Config:       doc.Config.descriptor(),
		Layers:       append(doc.Layers.descriptors(), doc.Blobs.descriptors()...),
		Manifests:    doc.Manifests.good(),
		Subject:      doc.Subject.descriptor(),
		Annotations:  doc.Annotations,
		LeftOut:      doc.leftOut(),
		Content:      content,
	}
	if m.ArtifactType == "" && m.Config != nil {
		m.ArtifactType = m.Config.MediaType
	}
	return m, nil
}

// check refuses a document that isn't of that kind, or has more annotations than
// that. The version may be missing: only what a document states that is none is
// another one.
func (doc *document) check(k documentKind, maxAnnotations int) error {
	// A document with the fields of two kinds could mean one thing here and
	// another elsewhere: CVE-2021-41190.
	isManifest := doc.Config != nil || doc.Layers != nil
	if isManifest && k != kindManifest || doc.Manifests != nil && k != kindIndex || doc.Blobs != nil && k != kindArtifact {
		return errors.New("its fields are not those of its media type")
	}
	if doc.SchemaVersion != 2 && doc.SchemaVersion != 0 {
		return fmt.Errorf("schema version %d: %w", doc.SchemaVersion, errdef.ErrUnsupported)
	}
	if len(doc.Annotations)+doc.Layers.annotations()+doc.Blobs.annotations()+doc.Manifests.annotations() > maxAnnotations {
		return fmt.Errorf("more than %d annotations: %w", maxAnnotations, errdef.ErrSizeExceedsLimit)
	}
	return nil
}

// leftOut says which of its parts are odd.
func (doc *document) leftOut() error {
	var odd oddities
	if doc.Config != nil {
		odd.note("config", *doc.Config)
	}
	odd.noteAll("layer", doc.Layers)
	odd.noteAll("blob", doc.Blobs)
	odd.noteAll("manifest", doc.Manifests)
	if doc.Subject != nil {
		odd.note("subject", *doc.Subject)
	}
	return odd.err()
}
