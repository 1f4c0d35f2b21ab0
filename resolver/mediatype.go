package resolver

import "strings"

// IsManifest tells whether a media type is that of a document that lists others:
// a manifest or an index, of OCI or Docker.
func IsManifest(mediaType string) bool { return kindOf(mediaType) != kindUnknown }

// IsForeign tells whether a layer of that media type isn't distributed with its
// image: a registry may not have it (image specification, "Non-distributable
// layers"; Docker calls it foreign).
func IsForeign(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.")
}
