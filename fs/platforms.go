package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/archive"
)

// A platformsNode is platforms/ of an index: a link to each of its manifests,
// called by its platform.
type platformsNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer      = (*platformsNode)(nil)
	_ fusefs.NodeLookuper       = (*platformsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*platformsNode)(nil)
)

// platformTarget is where a platform's link leads, from platforms/.
func platformTarget(index, d digest.Digest) string {
	if index.Algorithm() == d.Algorithm() {
		return "../../" + d.Encoded()
	}
	return "../../../" + digestPath(d)
}

// Lookup implements fusefs.NodeLookuper.
func (n *platformsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, errno
	}
	i := slices.Index(a.platforms, name)
	if i < 0 {
		return nil, syscall.ENOENT
	}
	return n.link(ctx, name, platformTarget(n.digest, a.Manifests[i].Digest), forever, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *platformsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	a, errno := n.artifact(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for i, name := range a.platforms {
		if name != "" {
			list = append(list, entry(name, n.linkIdentity(name, platformTarget(n.digest, a.Manifests[i].Digest))))
		}
	}
	return n.openImmutable(list...)
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
		digits := desc.Digest.Encoded()[:hexDigits]
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

// platformOf is the platform of an index's manifest; nil where there is none. A
// SOCI index stands there with the platform of the image that it is of.
func platformOf(desc ocispec.Descriptor) *ocispec.Platform {
	if desc.ArtifactType == archive.MediaTypeSOCIIndexV2 || desc.ArtifactType == archive.MediaTypeSOCIIndexV1 {
		return nil
	}
	return desc.Platform
}

// platformName is "" where there is no platform, or none that can be a name.
func platformName(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	name := strings.ReplaceAll(platformString(*p), "/", "-")
	if len(name) > maxName-hexDigits-1 || checkElement(name) != nil {
		return ""
	}
	return name
}

// host is the manifest of an index that a host of that platform would run, as
// its place in the index; -1 is none. What asks for no variant takes the first.
func host(manifests []ocispec.Descriptor, want ocispec.Platform) int {
	return slices.IndexFunc(manifests, func(desc ocispec.Descriptor) bool {
		p := platformOf(desc)
		return p != nil && p.OS == want.OS && p.Architecture == want.Architecture &&
			(want.Variant == "" || want.Variant == p.Variant)
	})
}

// parts are what else a manifest's directory has beside its document, by name. An
// index has those of the manifest for the host, whose directory is below it at
// the path at.
func (a *artifact) parts(ctx context.Context) (names []string, at string, err error) {
	if a.IsIndex() {
		i := host(a.Manifests, a.repo.tree.platform)
		if i < 0 || a.platforms[i] == "" {
			return nil, "", nil
		}
		child, err := a.repo.artifact(ctx, a.Manifests[i].Digest)
		if err != nil {
			return nil, "", err
		}
		names, _, err = child.parts(ctx)
		return names, "platforms/" + a.platforms[i], err
	}
	if a.Config != nil {
		names = append(names, configName(a.Config.MediaType))
	}
	names = append(names, "files", "layers")
	if a.isImage() {
		names = append(names, "rootfs")
	}
	return names, "", nil
}
