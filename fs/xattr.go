package fs

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
)

// xattrs are extended attributes by their full name.
type xattrs map[string]string

// Linux' bounds, in bytes (linux/limits.h, XATTR_NAME_MAX, XATTR_SIZE_MAX,
// XATTR_LIST_MAX).
const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10
	maxXattrList  = 64 << 10
)

// verifiedXattr says who vouches for a manifest (gate.go). No annotation can.
const verifiedXattr = "user.oci.verified"

// annotations are the attributes that annotations become. A name or a value
// that Linux can't hold is left out; it stays in manifest.json.
func annotations(from map[string]string) xattrs {
	x := xattrs{}
	for key, value := range from {
		name := "user." + key
		if key == "" || name == verifiedXattr || len(name) > maxXattrName || len(value) > maxXattrValue || strings.ContainsRune(key, 0) {
			continue
		}
		x[name] = value
	}
	return x
}

// describe are the attributes of every object that has a digest. They win over
// annotations of the same name.
func describe(d digest.Digest, mediaType string, size int64) xattrs {
	return xattrs{
		"user.oci.digest":    d.String(),
		"user.oci.mediaType": mediaType,
		"user.oci.size":      strconv.FormatInt(size, 10),
	}
}

// descriptorXattrs are the attributes of a file that a descriptor describes.
func descriptorXattrs(desc ocispec.Descriptor) xattrs {
	x := annotations(desc.Annotations)
	maps.Copy(x, describe(desc.Digest, desc.MediaType, desc.Size))
	if desc.Platform != nil {
		x["user.oci.platform"] = artifact.PlatformString(*desc.Platform)
	}
	return x
}

// get answers getxattr(2): with ERANGE and the size if dest is too small.
func (x xattrs) get(name string, dest []byte) (uint32, syscall.Errno) {
	value, ok := x[name]
	if !ok {
		return 0, fusefs.ENOATTR
	}
	if len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE //nolint:gosec // bounded by maxXattrValue
	}
	return uint32(copy(dest, value)), 0 //nolint:gosec // bounded by maxXattrValue
}

// list answers listxattr(2), in alphabetical order. Names that don't fit into
// what Linux can list are left out, but can be read.
func (x xattrs) list(dest []byte) (uint32, syscall.Errno) {
	var names []byte
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if len(names)+len(name)+1 > maxXattrList {
			break
		}
		names = append(append(names, name...), 0)
	}
	if len(names) > len(dest) {
		return uint32(len(names)), syscall.ERANGE //nolint:gosec // bounded by maxXattrList
	}
	return uint32(copy(dest, names)), 0 //nolint:gosec // bounded by maxXattrList
}
