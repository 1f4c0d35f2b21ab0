package fs

import (
	// The algorithms that digest.Validate accepts are those that are linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
)

// algorithms are the digest algorithms that the image specification registers
// for everybody (descriptor.md, "Registered algorithms").
var algorithms = []string{"sha256", "sha512"}

// parseDigest reads "algorithm:hex".
func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return "", err
	}
	if !slices.Contains(algorithms, d.Algorithm().String()) {
		return "", fmt.Errorf("digest %s: %w", s, digest.ErrDigestUnsupported)
	}
	return d, nil
}

// digestPath is where a digest is below _manifests or _blobs.
func digestPath(d digest.Digest) string {
	return d.Algorithm().String() + "/" + d.Encoded()
}
