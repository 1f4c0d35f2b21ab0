package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
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
	i, ok := a.Platforms[name]
	if !ok {
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

// forHost is the artifact itself, or, of an index, that of the manifest which the
// host would run, whose directory is below the index's at the path at. nil is that
// there is none.
func (a *repositoryArtifact) forHost(ctx context.Context, ahead ...func(*resolver.Manifest)) (of *repositoryArtifact, at string, err error) {
	of = a
	for of.IsIndex() {
		i := artifact.Host(of.Manifests, a.repo.tree.platform)
		if i < 0 {
			return nil, "", nil
		}
		d := of.Manifests[i].Digest
		if at == "" { // an index in it has links of its own
			// The same manifest twice has the name of the first.
			first := slices.IndexFunc(of.Manifests, func(desc ocispec.Descriptor) bool { return desc.Digest == d })
			at = "platforms/" + of.PlatformNames[first]
		}
		if of, err = a.repo.artifact(ctx, d, ahead...); err != nil {
			return nil, "", err
		}
	}
	return of, at, nil
}
