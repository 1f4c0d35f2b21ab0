package fs

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// A namespaceNode is a directory of the tree above manifests and blobs: the
// registry itself, or a name that is a repository, part of the names of others,
// or both.
type namespaceNode struct {
	directoryNode
	registry *registry
	name     string // "" is the registry itself
}

var (
	_ fusefs.NodeGetattrer      = (*namespaceNode)(nil)
	_ fusefs.NodeLookuper       = (*namespaceNode)(nil)
	_ fusefs.NodeOpendirHandler = (*namespaceNode)(nil)
)

func (n *namespaceNode) reference() string { return n.registry.reference(n.name) }

// newNamespace makes the inode of a namespace in the directory n.
func (n *node) newNamespace(ctx context.Context, r *registry, name string, out *fuse.EntryOut) *fusefs.Inode {
	child := &namespaceNode{directoryNode: n.tree.directoryNode(), registry: r, name: name}
	return n.newDirectory(ctx, child, r.identity(name), time.Time{}, n.tree.tagTTL, out)
}

// Lookup implements fusefs.NodeLookuper. Names that no registry can hold are
// not there, and nobody is asked.
func (n *namespaceNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	switch {
	case strings.HasPrefix(name, "_"):
		return n.lookupPart(ctx, name, out)
	case strings.ContainsAny(name, ":@"):
		return n.lookupReference(ctx, name, out)
	case !resolver.ValidComponent(name):
		return nil, syscall.ENOENT
	}
	child := path.Join(n.name, name)
	kind, err := n.registry.kind(ctx, child)
	if err != nil {
		return nil, n.tree.errno(ctx, "look up", path.Join(n.reference(), name), err)
	}
	if kind == resolver.KindNone {
		return nil, syscall.ENOENT
	}
	return n.listed(ctx, name, out)
}

// listed makes the directory of a name that is known to be there.
func (n *namespaceNode) listed(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if strings.HasPrefix(name, "_") {
		return n.lookupPart(ctx, name, out)
	}
	return n.newNamespace(ctx, n.registry, path.Join(n.name, name), out), 0
}

// lookupPart looks up one of the directories that only a repository has.
func (n *namespaceNode) lookupPart(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if n.name == "" || !slices.Contains(parts, name) {
		return nil, syscall.ENOENT
	}
	kind, err := n.registry.kind(ctx, n.name)
	if err == nil && (kind == resolver.KindNone || kind == resolver.KindNamespace) {
		return nil, syscall.ENOENT
	}
	var repo *repository
	if err == nil {
		repo, err = n.registry.repository(n.name)
	}
	if err != nil {
		return nil, n.tree.errno(ctx, "look up", path.Join(n.reference(), name), err)
	}
	return n.newRepositoryPart(ctx, repo, name, n.tree.tagTTL, out), 0
}

// lookupReference looks up NAME:TAG, NAME@DIGEST or NAME:TAG@DIGEST: a
// reference, pasted after the mountpoint, is a link to its place in the tree.
// Where there are both, the digest holds, as with other clients.
func (n *namespaceNode) lookupReference(ctx context.Context, reference string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	name, hash, byDigest := strings.Cut(reference, "@")
	name, tag, byTag := strings.Cut(name, ":")
	if !resolver.ValidComponent(name) || byTag && !resolver.ValidTag(tag) {
		return nil, syscall.ENOENT
	}
	repo, err := n.registry.repository(path.Join(n.name, name))
	if err != nil {
		return nil, n.tree.errno(ctx, "look up", n.reference()+"/"+reference, err)
	}
	if !byDigest {
		if _, err := repo.resolve(ctx, tag); err != nil {
			return nil, n.tree.errno(ctx, "look up tag", repo.reference(tag), err)
		}
		return n.link(ctx, reference, name+"/_tags/"+tag, n.tree.tagTTL, out), 0
	}
	d, err := parseDigest(hash)
	if err != nil {
		return nil, syscall.ENOENT
	}
	if _, err := repo.artifact(ctx, d); err != nil {
		return nil, n.tree.errno(ctx, "look up manifest", repo.reference(hash), err)
	}
	return n.link(ctx, reference, name+"/_manifests/"+digestPath(d), forever, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *namespaceNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	d := &directory{tree: n.tree, list: n.list, listed: n.listed}
	d.fail = func(err error) syscall.Errno {
		return n.tree.errno(n.tree.ctx, "list", n.reference(), err)
	}
	return lookupDirectory{d}, 0, 0
}

// list lists the parts of a repository, then what the registry's catalog has
// below this name. A registry that has no catalog shows nothing there, and
// everything can still be opened by its name.
func (n *namespaceNode) list(ctx context.Context, emit func([]fuse.DirEntry) error) error {
	first := dots(n.EmbeddedInode())
	if n.name != "" {
		kind, err := n.registry.kind(ctx, n.name)
		if err != nil {
			return err
		}
		if kind == resolver.KindRepository {
			for _, part := range parts {
				first = append(first, entry(part, partIdentity(n.reference(), part)))
			}
		}
	}
	if err := emit(first); err != nil {
		return err
	}
	err := n.listCatalog(ctx, emit)
	if errors.Is(err, errdef.ErrUnsupported) {
		n.tree.log.Debug("the registry lists no repositories", "reference", n.reference(), "error", err)
		return nil
	}
	return err
}

func (n *namespaceNode) listCatalog(ctx context.Context, emit func([]fuse.DirEntry) error) error {
	var below string
	if n.name != "" {
		below = n.name + "/"
	}
	children := children{below: below}
	err := n.registry.remote.Repositories(ctx, below, func(names []string) error {
		var page []fuse.DirEntry
		for _, name := range names {
			if child, ok := children.next(name); ok {
				page = append(page, entry(child, n.registry.identity(below+child)))
			}
		}
		if err := emit(page); err != nil {
			return err
		}
		if children.over {
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

// errOver ends a walk through the catalog.
var errOver = errors.New("no name below follows")
