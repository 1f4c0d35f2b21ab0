package fs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/resolver"
)

// A source is a repository of a registry: what it has, and what it is asked.
type source struct {
	resolver.Source // what no test needs

	wait chan struct{} // closed when a manifest may be told, nil is at once

	mu         sync.Mutex // guards what follows
	waits      bool
	manifests  map[digest.Digest]string
	tags       map[string]digest.Digest
	blobs      map[digest.Digest]int64
	referrers  []ocispec.Descriptor
	content    string // of every blob
	mediaType  string // that it tells of a document
	credential string
	down       bool
	asked      []string
}

// Credential implements credentialed.
func (s *source) Credential(context.Context) (string, error) { return s.credential, nil }

func (s *source) ask(question string, has bool) error {
	s.asked = append(s.asked, question)
	switch {
	case s.down:
		return &errcode.ErrorResponse{StatusCode: http.StatusServiceUnavailable}
	case !has:
		return errdef.ErrNotFound
	}
	return nil
}

func (s *source) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.tags[reference]
	if ok {
		return ocispec.Descriptor{MediaType: s.mediaType, Digest: d}, s.ask("resolve "+reference, ok)
	}
	d = digest.Digest(reference)
	content, ok := s.manifests[d]
	return ocispec.Descriptor{MediaType: s.mediaType, Digest: d, Size: int64(len(content))}, s.ask("resolve", ok)
}

func (s *source) Manifest(_ context.Context, d digest.Digest) ([]byte, error) {
	s.mu.Lock()
	s.waits = s.wait != nil
	s.mu.Unlock()
	if s.wait != nil {
		<-s.wait
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.manifests[d]
	if err := s.ask("manifest", ok); err != nil {
		return nil, err
	}
	return []byte(content), resolver.Contradiction(s.mediaType, []byte(content))
}

func (s *source) BlobSize(_ context.Context, d digest.Digest) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.blobs[d]
	return size, s.ask("blob", ok)
}

// busy tells whether somebody waits for a manifest.
func (s *source) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waits
}

// questions are those since the last call.
func (s *source) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return s.asked
}

// add adds a manifest, with a config {} and what more says.
func (s *source) add(more string) digest.Digest {
	return s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.example","digest":%q,"size":2}%s}`,
		ocispec.MediaTypeImageManifest, digest.FromString("{}"), more))
}

// addIndex adds an index of one manifest.
func (s *source) addIndex(manifest digest.Digest) digest.Digest {
	return s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":5}]}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, manifest))
}

func (s *source) addDocument(content string) digest.Digest {
	if s.manifests == nil {
		s.manifests = map[digest.Digest]string{}
	}
	d := digest.FromString(content)
	s.manifests[d] = content
	return d
}

// Blob implements resolver.Source.
func (s *source) Blob(ocispec.Descriptor) resolver.Fetcher { return s }

// Fetch implements resolver.Fetcher.
func (s *source) Fetch(_ context.Context, off, n int64, _ <-chan struct{}) (io.ReadCloser, bool, error) {
	return io.NopCloser(strings.NewReader(s.content[off : off+n])), false, nil
}
