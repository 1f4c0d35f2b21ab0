package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hashicorp/golang-lru/v2"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// A registriesNode is the root of a mount of every registry: a directory for
// each host. A host is asked whether it is a registry when it is named; those
// that this mount has met are listed.
type registriesNode struct{ directoryNode }

var (
	_ fusefs.NodeGetattrer      = (*registriesNode)(nil)
	_ fusefs.NodeLookuper       = (*registriesNode)(nil)
	_ fusefs.NodeOpendirHandler = (*registriesNode)(nil)
)

// Lookup implements fusefs.NodeLookuper. What can't be a host isn't there, and
// nobody is asked.
func (n *registriesNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if !resolver.ValidHost(name) {
		return nil, syscall.ENOENT
	}
	r, err := n.tree.registry(ctx, name)
	if err != nil {
		return nil, n.tree.errno(ctx, "look up registry", name, err)
	}
	return n.newNamespace(ctx, r, "", out), 0
}

// registry is the registry at a host, once it has answered, or if it answered a
// mount before and can't be reached.
func (t *tree) registry(ctx context.Context, host string) (*registry, error) {
	return t.hosts.getOr(ctx, host, func(ctx context.Context) (*registry, error) {
		r, ok := t.registries.Get(host)
		if !ok {
			remote, err := t.connect(ctx, host)
			if err != nil {
				return nil, err
			}
			r = &registry{tree: t, remote: remote}
		}
		err := r.remote.Ping(ctx)
		if noRegistry(err) && !ok && t.remembered.registry(ctx, r).IsZero() { // one that has answered before is rather out of reach
			err = fmt.Errorf("%w: %w", errdef.ErrNotFound, err)
		}
		switch {
		case err == nil:
			t.registries.Add(host, r)
			t.remembered.host(r)
		case !ok:
			err = errors.Join(err, r.remote.Close())
		}
		return r, err
	}, func(ctx context.Context) (*registry, time.Time) {
		remote, err := t.connect(ctx, host)
		if err != nil {
			return nil, time.Time{}
		}
		r := &registry{tree: t, remote: remote}
		said := t.remembered.registry(ctx, r)
		if said.IsZero() {
			_ = remote.Close()
			return nil, said
		}
		t.registries.Add(host, r)
		return r, said
	})
}

// newRegistries makes the memory of those that have answered. One that is
// forgotten, by the mount's end at the latest, is closed.
func newRegistries() *lru.Cache[string, *registry] {
	c, err := lru.NewWithEvict(maxRegistries, func(_ string, r *registry) {
		_ = r.remote.Close()
	})
	if err != nil {
		panic(err)
	}
	return c
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *registriesNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	hosts := n.tree.registries.Keys()
	slices.Sort(hosts)
	var list []fuse.DirEntry
	for _, host := range hosts {
		if r, ok := n.tree.registries.Peek(host); ok {
			list = append(list, entry(host, r.identity("")))
		}
	}
	return n.openChanging(list...)
}
