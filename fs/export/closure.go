package export

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Closure is an artifact and everything that it needs: its manifest, what that
// lists, all manifests of an index, and the subject, without which oras copies
// nothing that refers to one. It is what an OCI image layout of the artifact holds
// (image specification, "Image Layout"). It doesn't change.
type Closure struct {
	Files   []File    // those beside the blobs
	Members []Member  // each once, manifests before the blobs that they list
	Created time.Time // when the artifact was; zero where that isn't known
	// Incomplete is that a manifest isn't in the registry and is left out, as the
	// image specification allows.
	Incomplete bool

	places map[digest.Digest]int // in Members
}

// A Member is a blob or a manifest, without what a manifest says of it.
type Member struct {
	Digest    digest.Digest
	Size      int64
	MediaType string
	Data      []byte // where the manifest that lists it holds it
	Manifest  bool   // it is a manifest or an index, which a registry doesn't give as a blob
}

// Descriptor is that of a member.
func (m Member) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, Data: m.Data}
}

// Find is the member with a digest.
func (c *Closure) Find(d digest.Digest) (Member, bool) {
	i, ok := c.places[d]
	if !ok {
		return Member{}, false
	}
	return c.Members[i], true
}

// Algorithms are those of the members' digests.
func (c *Closure) Algorithms() []digest.Algorithm {
	var list []digest.Algorithm
	for _, m := range c.Members {
		if a := m.Digest.Algorithm(); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}
