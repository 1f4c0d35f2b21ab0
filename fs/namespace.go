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

// Lookup implements fusefs.NodeLookuper. A name that a repository can have is
// there, without a request: whether something is below it, nobody can deny
// (resolver/evidence.go). Who lists it is told.
func (n *namespaceNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	switch {
	case strings.HasPrefix(name, "_"):
		return n.lookupPart(ctx, name, out)
	case strings.ContainsAny(name, ":@"):
		return n.lookupReference(ctx, name, out)
	case !resolver.ValidComponent(name):
		return nil, syscall.ENOENT
	}
	return n.newNamespace(ctx, n.registry, path.Join(n.name, name), out), 0
}

// lookupPart looks up one of the directories that only a repository has.
func (n *namespaceNode) lookupPart(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if n.name == "" || !slices.Contains(parts, name) {
		return nil, syscall.ENOENT
	}
	repo, err := n.registry.repository(n.name)
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

// OpendirHandle implements fusefs.NodeOpendirHandler. A name that nobody knows of
// can't be opened. The catalog isn't asked for that: some programs open a directory
// and never read it.
func (n *namespaceNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	met := n.registry.remote.Met(n.name)
	var first []fuse.DirEntry // the repository's parts, where it is one
	var why error             // it can't be told
	asked := n.name == ""
	ask := func(ctx context.Context) (kind resolver.Kind) {
		if kind, why = n.registry.kind(ctx, n.name); kind == resolver.KindRepository {
			first = n.parts()
		}
		asked = ctx.Err() == nil // else it is asked again
		return kind
	}
	d := &directory{tree: n.tree, listed: n.Lookup}
	d.list = func(ctx context.Context, emit func([]fuse.DirEntry) error) error {
		if !asked {
			ask(ctx)
		}
		return n.list(ctx, first, why, met, emit)
	}
	d.fail = func(err error) syscall.Errno {
		return n.tree.errno(n.tree.ctx, "list", n.reference(), err)
	}
	if !asked && len(met) == 0 {
		kind := ask(ctx)
		switch {
		case errors.Is(why, context.Canceled):
			return nil, 0, n.tree.errno(ctx, "list", n.reference(), why)
		case why == nil && kind == resolver.KindNone:
			return nil, 0, syscall.ENOENT
		}
	}
	return lookupDirectory{d}, 0, 0
}

// parts are the entries of the directories that only a repository has.
func (n *namespaceNode) parts() []fuse.DirEntry {
	list := make([]fuse.DirEntry, len(parts))
	for i, part := range parts {
		list[i] = entry(part, partIdentity(n.reference(), part))
	}
	return list
}

// list lists the parts of a repository, then what the registry's catalog has
// below this name, then what was met there and the catalog lacks. Where there is
// no catalog that is all, and everything can still be opened by its name; where the
// registry can't be reached, the list ends with that. why is that it can't be told
// whether it is a repository.
func (n *namespaceNode) list(ctx context.Context, first []fuse.DirEntry, why error, met []string, emit func([]fuse.DirEntry) error) error {
	switch {
	case why != nil && (ctx.Err() != nil || gone(why) && len(met) == 0):
		return why
	case why != nil:
		n.tree.complaints.warn("list: it may be a repository", n.reference(), why)
	}
	if err := emit(append(dots(n.EmbeddedInode()), first...)); err != nil {
		return err
	}
	begun, met, err := n.listCatalog(ctx, met, emit)
	switch {
	case err == nil:
	case begun, ctx.Err() != nil:
		return err
	case errors.Is(err, errdef.ErrUnsupported):
		n.tree.log.Info("the registry has no catalog: what was met is listed", "reference", n.reference(), "error", err)
		err = nil
	case !gone(err):
		n.tree.complaints.warn("list repositories: what was met is listed", n.reference(), err)
		err = nil
	}
	if len(met) > 0 {
		if stopped := emit(n.children(met)); stopped != nil {
			return stopped
		}
	}
	return err
}

// children are the entries of names below this one.
func (n *namespaceNode) children(names []string) []fuse.DirEntry {
	page := make([]fuse.DirEntry, len(names))
	for i, name := range names {
		page[i] = entry(name, n.registry.identity(path.Join(n.name, name)))
	}
	return page
}

// listCatalog lists what the catalog has below this name. It tells whether there
// was anything, and which of the names that were met it lacks.
func (n *namespaceNode) listCatalog(ctx context.Context, met []string, emit func([]fuse.DirEntry) error) (begun bool, rest []string, err error) {
	lacking := make(map[string]bool, len(met))
	for _, name := range met {
		lacking[name] = true
	}
	var below string
	if n.name != "" {
		below = n.name + "/"
	}
	children := children{below: below}
	err = n.registry.remote.Repositories(ctx, below, func(names []string) error {
		var page []string
		for _, name := range names {
			if child, ok := children.next(name); ok {
				page = append(page, child)
				delete(lacking, child)
			}
		}
		begun = begun || len(page) > 0
		if err := emit(n.children(page)); err != nil {
			return err
		}
		if children.over || children.passed(names) {
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) {
		err = nil
	}
	rest = slices.DeleteFunc(slices.Clone(met), func(name string) bool { return !lacking[name] })
	return begun, rest, err
}

// errOver ends a walk through the catalog.
var errOver = errors.New("no name below follows")
