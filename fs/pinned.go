package fs

import (
	"context"
	"fmt"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/orasfs/orasfs/fs/artifact"
)

// A View is what a mount of one artifact shows.
type View string

// The views. An image's own is its root file system, any other artifact's its
// files.
const (
	ViewOwn    View = ""
	ViewFiles  View = "files"
	ViewRootFS View = "rootfs"
	ViewLayout View = "layout"
)

// pinned is the root of a mount of one artifact. Of an index it shows the
// manifest for the host, but a layout has all of them.
func (t *tree) pinned(ctx context.Context, repo *repository, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	a, err := t.referred(ctx, repo, o.Reference)
	if err == nil && o.View != ViewLayout {
		a, _, err = a.forHost(ctx)
	}
	switch {
	case err != nil:
		return nil, fusefs.StableAttr{}, err
	case a == nil:
		return nil, fusefs.StableAttr{}, fmt.Errorf("%s has no manifest for %s", o.source(), artifact.PlatformString(t.platform))
	}
	manifest := manifestPart{node: node{tree: t}, repo: a.repo, digest: a.Digest, time: newMoment(a.Created)}
	view := o.View
	if view == ViewOwn {
		view = ViewFiles
		if a.Image {
			view = ViewRootFS
		}
	}
	id := a.repo.identity(syscall.S_IFDIR, "part", a.Digest.String(), string(view))
	switch {
	case view == ViewFiles:
		return manifest.filesNode(a, nil), id, nil
	case view == ViewLayout:
		return &layoutNode{manifest.below()}, id, nil
	case !a.Image:
		return nil, id, fmt.Errorf("%s is no image: it has no %s", o.source(), view)
	}
	// An overlay has to stand on it, and on that another.
	t.passthrough = false
	return &viewNode{node: node{tree: t}, view: a.rootfs()}, id, nil
}

// referred is the artifact that a tag or a digest refers to.
func (t *tree) referred(ctx context.Context, repo *repository, reference string) (*repositoryArtifact, error) {
	d, err := parseDigest(reference)
	if err != nil {
		if d, err = repo.resolve(ctx, reference); err != nil {
			return nil, err
		}
	}
	return repo.artifact(ctx, d)
}
