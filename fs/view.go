package fs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// A view is a directory that shows a tree of archives: an image's root file
// system, or a layer. The tree is opened when somebody looks into it, not when
// it is listed.
type view struct {
	reference string        // of the manifest, for the log
	manifest  digest.Digest // whose own the directories are
	created   time.Time     // shown until the tree is open
	open      func(ctx context.Context) (*archive.Image, error)
	path      string // of the directory that is shown, in the tree
}

// root is the directory of the tree that the view shows. A tree that lacks it
// is shown from its own root on.
func (v *view) root(ctx context.Context) (archive.Node, error) {
	image, err := v.open(ctx)
	if err != nil {
		return archive.Node{}, err
	}
	if n, ok := image.Walk(v.path); ok && n.Type() == archive.TypeDir {
		return n, nil
	}
	return image.Root(), nil
}

// identity is the identity of an entry. A layer's files are the same in
// whatever image they are, unless it is the image that says which names they
// have; a merged directory is the image's own.
func (v *view) identity(n archive.Node) fusefs.StableAttr {
	mode := uint32(n.Type())
	layer, number := n.Identity()
	switch {
	case !n.Own():
		return identity(mode, "entry", layer, strconv.Itoa(number))
	case mode == syscall.S_IFDIR:
		return identity(mode, "merged", v.manifest.String(), n.Path())
	default:
		return identity(mode, "own entry", v.manifest.String(), layer, strconv.Itoa(number))
	}
}
