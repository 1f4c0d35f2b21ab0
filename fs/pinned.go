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

// A viewRoot is the directory of a view.
type viewRoot interface {
	fusefs.InodeEmbedder
	fusefs.NodeGetattrer
	fusefs.NodeLookuper
	fusefs.NodeOpendirHandler
}

// pinned is the root of a mount of one artifact.
func (t *tree) pinned(ctx context.Context, repo *repository, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	a, err := t.referred(ctx, repo, o.Reference)
	if err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	a, view, err := a.seenAs(ctx, o.View, o.source())
	if err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	t.withoutPassthrough(view)
	root, id := a.root(view)
	return root, id, nil
}

// withoutPassthrough is for a mount whose root is that view, before anything is served:
// on an image's root file system an overlay has to stand, and on that another.
func (t *tree) withoutPassthrough(view View) { t.passthrough = t.passthrough && view != ViewRootFS }

// seenAs is the artifact that a view of this one shows, and the view that is meant by
// that. Of an index it is the manifest for the host, but a layout has all of them.
// Errors call it as the one who asks does.
func (a *repositoryArtifact) seenAs(ctx context.Context, view View, called string) (*repositoryArtifact, View, error) {
	if view != ViewLayout {
		host, _, err := a.forHost(ctx)
		switch {
		case err != nil:
			return nil, view, err
		case host == nil:
			return nil, view, fmt.Errorf("%s has no manifest for %s", called, artifact.PlatformString(a.repo.tree.platform))
		}
		a = host
	}
	switch {
	case view == ViewOwn && a.Image:
		view = ViewRootFS
	case view == ViewOwn:
		view = ViewFiles
	case view == ViewRootFS && !a.Image:
		return nil, view, fmt.Errorf("%s is no image: it has no %s", called, view)
	}
	return a, view, nil
}

// root is the directory of a view of the artifact.
func (a *repositoryArtifact) root(view View) (viewRoot, fusefs.StableAttr) {
	t := a.repo.tree
	part := manifestPart{node: node{tree: t}, repo: a.repo, digest: a.Digest, time: newMoment(a.Created)}
	id := a.repo.identity(syscall.S_IFDIR, "part", a.Digest.String(), string(view))
	switch view {
	case ViewRootFS:
		return &viewNode{node: node{tree: t}, view: a.rootfs()}, id
	case ViewLayout:
		return &layoutNode{part.below()}, id
	default:
		return part.filesNode(a, nil), id
	}
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
