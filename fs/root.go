package fs

import (
	"context"
	"fmt"
	"path"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/orasfs/orasfs/resolver"
)

// root is the node at the mountpoint: every registry, one of them or a part of
// it, a local layout, or what a reference means now. It stays that, wherever a
// tag moves, unless the tag is followed.
func (t *tree) root(ctx context.Context, o Options) (fusefs.InodeEmbedder, fusefs.StableAttr, error) {
	switch {
	case o.Layout != nil:
		return t.localRoot(ctx, o)
	case o.Registry == nil:
		return &registriesNode{t.directoryNode()}, identity(syscall.S_IFDIR, "registries"), nil
	}
	r := &registry{tree: t, remote: o.Registry}
	if err := r.greet(ctx); err != nil {
		return nil, fusefs.StableAttr{}, err
	}
	if o.Reference != "" {
		repo, err := r.repository(o.Prefix)
		if err != nil {
			return nil, fusefs.StableAttr{}, err
		}
		if o.Follow {
			return t.followed(ctx, repo, o)
		}
		return t.pinned(ctx, repo, o)
	}
	if o.Prefix != "" {
		switch kind, err := r.kind(ctx, o.Prefix); {
		case ctx.Err() != nil:
			return nil, fusefs.StableAttr{}, ctx.Err()
		case err != nil:
			t.log.Warn("what is there can't be told: names are looked up one by one", "reference", o.source(), "error", err)
		case kind == resolver.KindNone:
			t.remark = fmt.Sprintf("%s lists no repository or namespace %s: mounted all the same, check the name", o.Registry.Host(), o.Prefix)
			t.log.Warn(t.remark)
		}
	}
	return &namespaceNode{directoryNode: t.directoryNode(), registry: r, name: o.Prefix}, r.identity(o.Prefix), nil
}

// greet asks whether the registry is there and takes the credentials. One that
// can't be reached and has answered a mount before is as good: what it gave then is
// there.
func (r *registry) greet(ctx context.Context) error {
	err := r.remote.Ping(ctx)
	switch {
	case err == nil:
		r.tree.remembered.host(r)
		return nil
	case !unreachable(err):
		return err
	}
	said := r.tree.remembered.registry(ctx, r)
	if said.IsZero() {
		return err
	}
	r.tree.outages.begin(r.remote.Host())
	age := time.Since(said).Round(time.Second)
	r.tree.log.Warn("the registry isn't reached, what it said before is used", "reference", r.remote.Host(), "age", age, "error", err)
	r.tree.remark = fmt.Sprintf("%s isn't reached: what it gave until %s ago is there (%v)", r.remote.Host(), age, err)
	return nil
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
