package fs

import (
	"context"
	"fmt"
	"path"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// root is the node at the mountpoint: every registry, one of them or a part of
// it, a local layout, or what a reference means now. It stays that, wherever a
// tag moves.
func (t *tree) root(ctx context.Context, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	switch {
	case o.Layout != nil:
		return t.localRoot(ctx, o)
	case o.Registry == nil:
		return &registriesNode{t.directoryNode()}, identity(syscall.S_IFDIR, "registries"), nil
	}
	r := &registry{tree: t, remote: o.Registry}
	if o.Reference != "" {
		repo, err := r.repository(o.Prefix)
		if err != nil {
			return nil, fusefs.StableAttr{}, err
		}
		return t.pinned(ctx, repo, o)
	}
	if o.Prefix != "" {
		kind, err := r.kind(ctx, o.Prefix)
		if err == nil && kind == resolver.KindNone {
			err = fmt.Errorf("%s: %w", o.source(), errdef.ErrNotFound)
		}
		if err != nil {
			return nil, fusefs.StableAttr{}, err
		}
	}
	return &namespaceNode{directoryNode: t.directoryNode(), registry: r, name: o.Prefix}, r.identity(o.Prefix), nil
}

// source names what is mounted, in /proc/mounts and df.
func (o *Options) source() string {
	var source string
	switch {
	case o.Layout != nil:
		source = o.Layout.Path()
	case o.Registry != nil:
		source = path.Join(o.Registry.Host(), o.Prefix)
	default:
		return "none" // as in fstab(5), what has no source
	}
	if o.Reference == "" {
		return source
	}
	if _, err := parseDigest(o.Reference); err == nil {
		return source + "@" + o.Reference
	}
	return source + ":" + o.Reference
}
