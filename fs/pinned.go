package fs

import (
	"context"
	"fmt"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// A View is what a mount of one artifact shows.
type View string

// The views. An image's own is its root file system, any other artifact's its
// files.
const (
	ViewOwn    View = ""
	ViewFiles  View = "files"
	ViewRootFS View = "rootfs"
)

// pinned is the root of a mount of one artifact; of an index, the manifest for
// the host.
func (t *tree) pinned(ctx context.Context, repo *repository, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	a, err := t.referred(ctx, repo, o)
	if err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	view := o.View
	if view == ViewOwn {
		view = ViewFiles
		if a.isImage() {
			view = ViewRootFS
		}
	}
	id := a.repo.identity(syscall.S_IFDIR, "part", a.Digest.String(), string(view))
	if view == ViewFiles {
		return &filesNode{manifestPart: manifestPart{node: node{tree: t}, repo: a.repo, digest: a.Digest, created: a.created}}, id, nil
	}
	if !a.isImage() {
		return nil, id, fmt.Errorf("%s is no image: it has no %s", o.source(), view)
	}
	return &viewNode{node: node{tree: t}, view: a.rootfs()}, id, nil
}

// referred is the artifact that the options refer to.
func (t *tree) referred(ctx context.Context, repo *repository, o Options) (*artifact, error) {
	d, err := parseDigest(o.Reference)
	if err != nil {
		if d, err = repo.resolve(ctx, o.Reference); err != nil {
			return nil, err
		}
	}
	a, err := repo.artifact(ctx, d)
	for err == nil && a.IsIndex() {
		i := host(a.Manifests, t.platform)
		if i < 0 {
			return nil, fmt.Errorf("%s has no manifest for %s", o.source(), platformString(t.platform))
		}
		a, err = repo.artifact(ctx, a.Manifests[i].Digest)
	}
	return a, err
}
