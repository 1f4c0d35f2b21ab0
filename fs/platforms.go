package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/artifact"
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
	i := slices.Index(a.PlatformNames, name)
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
	for i, name := range a.PlatformNames {
		if name != "" {
			list = append(list, entry(name, n.linkIdentity(name, platformTarget(n.digest, a.Manifests[i].Digest))))
		}
	}
	return n.openImmutable(list...)
}

// parts are what else a manifest's directory has beside its document, by name. An
// index has those of the manifest for the host, whose directory is below it at
// the path at.
func (a *repositoryArtifact) parts(ctx context.Context) (names []string, at string, err error) {
	if a.IsIndex() {
		i := artifact.Host(a.Manifests, a.repo.tree.platform)
		if i < 0 || a.PlatformNames[i] == "" {
			return nil, "", nil
		}
		child, err := a.repo.artifact(ctx, a.Manifests[i].Digest)
		if err != nil {
			return nil, "", err
		}
		names, _, err = child.parts(ctx)
		return names, "platforms/" + a.PlatformNames[i], err
	}
	if a.Config != nil {
		names = append(names, artifact.ConfigName(a.Config.MediaType))
	}
	names = append(names, "files", "layers")
	if a.Image {
		names = append(names, "rootfs")
	}
	return names, "", nil
}
