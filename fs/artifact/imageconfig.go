package artifact

import (
	"context"
	// The algorithms that digest.Validate accepts are those that are linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mediaTypeDockerConfig is Docker's for what OCI calls an image's config (image
// specification, "Media types", compatibility matrix).
const mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"

// An imageConfig is what is needed of an image's config (image specification,
// "Image configuration").
type imageConfig struct {
	created  time.Time        // zero where there is none, or none that can be read
	platform ocispec.Platform // OS, Architecture and Variant
	// diffIDs are the digests of the layers' tars, the lowest first; what is no
	// digest is "".
	diffIDs []digest.Digest
}

const (
	maxPlatform = 64     // bytes of each part of a platform; real ones have some ten
	maxDiffIDs  = 10_000 // as many as a manifest can have layers
)

// isImageConfig tells whether a config of that media type is an image's.
func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == mediaTypeDockerConfig
}

// readImageConfig reads an image's config.
func readImageConfig(ctx context.Context, desc ocispec.Descriptor, read ReadBlob) (imageConfig, error) {
	content, err := read(ctx, desc)
	if err != nil {
		return imageConfig{}, fmt.Errorf("config %s: %w", desc.Digest, err)
	}
	return parseImageConfig(content)
}

// parseImageConfig leaves out parts of the platform that are longer than 64 bytes.
func parseImageConfig(content []byte) (imageConfig, error) {
	var doc struct {
		Created      json.RawMessage `json:"created"`
		OS           string          `json:"os"`
		Architecture string          `json:"architecture"`
		Variant      string          `json:"variant"`
		RootFS       struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return imageConfig{}, fmt.Errorf("image config: %w", err)
	}
	config := imageConfig{platform: ocispec.Platform{
		OS: bounded(doc.OS), Architecture: bounded(doc.Architecture), Variant: bounded(doc.Variant),
	}}
	if len(doc.RootFS.DiffIDs) <= maxDiffIDs {
		config.diffIDs = doc.RootFS.DiffIDs
	}
	for i, d := range config.diffIDs {
		if d.Validate() != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
			config.diffIDs[i] = ""
		}
	}
	var created string
	if json.Unmarshal(doc.Created, &created) == nil {
		config.created = parseTime(created)
	}
	return config, nil
}

func bounded(s string) string {
	if len(s) > maxPlatform {
		return ""
	}
	return s
}
