package resolver

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// An ImageConfig is what orasfs needs of an image's config (image
// specification, "Image configuration").
type ImageConfig struct {
	Created  time.Time        // zero where there is none, or none that can be read
	Platform ocispec.Platform // OS, Architecture and Variant
	// DiffIDs are the digests of the layers' tars, the lowest first; what is no
	// digest is "".
	DiffIDs []digest.Digest
}

const (
	maxImageConfig = 4 << 20 // bytes; real ones have some kilobytes
	maxPlatform    = 64      // bytes of each part of a platform; real ones have some ten
)

// IsImageConfig tells whether a config of that media type is an image's.
func IsImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == mediaTypeDockerConfig
}

// ParseImageConfig reads an image's config of at most 4 MiB. Parts of the
// platform that are longer than 64 bytes are left out.
func ParseImageConfig(content []byte) (ImageConfig, error) {
	if len(content) > maxImageConfig {
		return ImageConfig{}, fmt.Errorf("image config of %d bytes: %w", len(content), errdef.ErrSizeExceedsLimit)
	}
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
		return ImageConfig{}, fmt.Errorf("image config: %w", err)
	}
	config := ImageConfig{Platform: ocispec.Platform{
		OS: bounded(doc.OS), Architecture: bounded(doc.Architecture), Variant: bounded(doc.Variant),
	}}
	if len(doc.RootFS.DiffIDs) <= maxDescriptors {
		config.DiffIDs = doc.RootFS.DiffIDs
	}
	for i, d := range config.DiffIDs {
		if checkDigest(d) != nil {
			config.DiffIDs[i] = ""
		}
	}
	var created string
	if json.Unmarshal(doc.Created, &created) == nil {
		if t, err := time.Parse(time.RFC3339, created); err == nil {
			config.Created = t
		}
	}
	return config, nil
}

func bounded(s string) string {
	if len(s) > maxPlatform {
		return ""
	}
	return s
}
