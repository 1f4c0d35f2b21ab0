package artifact

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PlatformString is os/architecture[/variant], as --platform of other tools.
func PlatformString(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// namePlatforms names the manifests of an index by their platforms,
// OS-ARCHITECTURE[-VARIANT]. Those of one name get digits of their digests, and
// one without a platform has those alone; the same manifest twice is one name.
func namePlatforms(manifests []ocispec.Descriptor) []string {
	count := map[string]int{}
	names := make([]string, len(manifests))
	seen := map[digest.Digest]bool{}
	for i, desc := range manifests {
		if !seen[desc.Digest] {
			names[i] = platformName(platformOf(desc))
			count[names[i]]++
		}
		seen[desc.Digest] = true
	}
	clear(seen)
	for i, desc := range manifests {
		digits := desc.Digest.Encoded()[:shortDigest]
		switch {
		case seen[desc.Digest]:
			names[i] = "" // no name of its own
		case names[i] == "":
			names[i] = digits
		case count[names[i]] > 1:
			names[i] += "-" + digits
		}
		seen[desc.Digest] = true
	}
	return names
}

// mediaTypeSOCIIndex is what the artifact types of SOCI indexes begin with,
// whichever version they are of (awslabs/soci-snapshotter, "SOCI Index").
const mediaTypeSOCIIndex = "application/vnd.amazon.soci.index."

// platformOf is the platform of an index's manifest; nil where there is none. A
// SOCI index stands there with the platform of the image that it is of.
func platformOf(desc ocispec.Descriptor) *ocispec.Platform {
	if strings.HasPrefix(desc.ArtifactType, mediaTypeSOCIIndex) {
		return nil
	}
	return desc.Platform
}

// platformName is "" where there is no platform, or none that can be a name.
func platformName(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	name := strings.ReplaceAll(PlatformString(*p), "/", "-")
	if len(name) > maxName-shortDigest-1 || checkElement(name) != nil {
		return ""
	}
	return name
}

// Host is the manifest of an index that a host of that platform would run, as
// its place in the index; -1 is none. What asks for no variant takes the first.
func Host(manifests []ocispec.Descriptor, want ocispec.Platform) int {
	return slices.IndexFunc(manifests, func(desc ocispec.Descriptor) bool {
		p := platformOf(desc)
		return p != nil && p.OS == want.OS && p.Architecture == want.Architecture &&
			(want.Variant == "" || want.Variant == p.Variant)
	})
}
