package fs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// A registry is one of those that a mount shows.
type registry struct {
	tree   *tree
	remote *resolver.Registry
}

// reference names a repository or a namespace in errors and in the log; "" is
// the registry itself.
func (r *registry) reference(name string) string { return path.Join(r.remote.Host(), name) }

// identity is the identity of a directory above manifests and blobs.
func (r *registry) identity(name string) fusefs.StableAttr {
	return identity(syscall.S_IFDIR, "namespace", r.remote.Host(), name)
}

// repository returns the state of the repository of that name, the same for
// every node of it.
func (r *registry) repository(name string) (*repository, error) {
	key := r.reference(name)
	if known, ok := r.tree.repositories.Get(key); ok {
		return known, nil
	}
	remote, err := r.remote.Repository(name)
	if err != nil {
		return nil, err
	}
	repo := newRepository(r.tree, remote, key, r.remote.Host())
	repo.credential = r.remote.Asking
	repo.denied = func(ctx context.Context) error {
		kind, err := r.kind(ctx, name)
		if err == nil && (kind == resolver.KindNone || kind == resolver.KindNamespace) {
			return fmt.Errorf("repository %s: %w", key, errdef.ErrNotFound)
		}
		return nil // one that can't be asked about is not denied
	}
	if before, ok, _ := r.tree.repositories.PeekOrAdd(key, repo); ok {
		return before, nil
	}
	return repo, nil
}

// kind tells what is to be listed at a name: resolver.Registry.Kind. That nothing
// is there isn't remembered: who misses a name may be about to push it.
func (r *registry) kind(ctx context.Context, name string) (resolver.Kind, error) {
	kind, err := r.tree.names.get(ctx, r.reference(name), func(ctx context.Context) (resolver.Kind, error) {
		kind, err := r.remote.Kind(ctx, name)
		if err == nil && kind == resolver.KindNone {
			err = fmt.Errorf("%s: %w", name, errdef.ErrNotFound)
		}
		return kind, err
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return resolver.KindNone, nil
	}
	return kind, err
}
