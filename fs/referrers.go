package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// A referrersNode is referrers/ of a manifest, or a folder in it: what refers to
// the manifest, by artifact type. It changes, as tags do.
type referrersNode struct {
	manifestPart
	path []string // from referrers/ to this folder
}

var (
	_ fusefs.NodeGetattrer      = (*referrersNode)(nil)
	_ fusefs.NodeLookuper       = (*referrersNode)(nil)
	_ fusefs.NodeOpendirHandler = (*referrersNode)(nil)
)

// A referrer is one entry below referrers/: the elements of its artifact type,
// and its digest.
type referrer struct {
	path   []string
	digest digest.Digest
}

// referrers are what refers to a manifest. A registry that can't tell has none,
// and a line in the log says so.
func (r *repository) referrers(ctx context.Context, d digest.Digest) ([]referrer, error) {
	return r.tree.referrers.get(ctx, r.reference(d.String()), func(ctx context.Context) ([]referrer, error) {
		a, err := r.artifact(ctx, d)
		if err != nil {
			return nil, err
		}
		found, err := r.source.Referrers(ctx, resolver.Subject(a.Manifest), "")
		if err != nil && (unreachable(err) || denied(err)) {
			return nil, err
		}
		if err != nil {
			r.tree.log.Warn("the registry doesn't tell referrers", "reference", r.reference(d.String()), "error", err)
		}
		return r.placeReferrers(d, found), nil
	})
}

func (r *repository) placeReferrers(subject digest.Digest, found []ocispec.Descriptor) []referrer {
	var list []referrer
	for _, desc := range found {
		artifactType := desc.ArtifactType
		if artifactType == "" {
			artifactType = desc.MediaType // what has no type is of its own kind
		}
		elements, err := artifact.SplitPath(artifactType)
		if err != nil {
			r.tree.log.Warn("referrer left out", "reference", r.reference(subject.String()), "referrer", desc.Digest, "error", err)
			continue
		}
		r.learn(desc.Digest)
		list = append(list, referrer{path: elements, digest: desc.Digest})
	}
	return list
}

// target is where the link to a referrer in this folder leads: to the manifest
// beside the subject.
func (n *referrersNode) target(d digest.Digest) string {
	up := strings.Repeat("../", len(n.path)+2)
	if d.Algorithm() != n.digest.Algorithm() {
		return up + "../" + digestPath(d)
	}
	return up + d.Encoded()
}

// A referrerEntry is an entry of the folder: a further one, or a link.
type referrerEntry struct {
	name   string
	digest digest.Digest // "" is a folder
}

// entries are what is in the folder, each once, in the registry's order.
func (n *referrersNode) entries(ctx context.Context) ([]referrerEntry, syscall.Errno) {
	referrers, err := n.repo.referrers(ctx, n.digest)
	if err != nil {
		return nil, n.tree.errno(ctx, "list referrers", n.reference(), err)
	}
	var list []referrerEntry
	for _, r := range referrers {
		if len(r.path) < len(n.path) || !slices.Equal(r.path[:len(n.path)], n.path) {
			continue
		}
		e := referrerEntry{name: r.digest.Encoded(), digest: r.digest}
		if len(r.path) > len(n.path) {
			e = referrerEntry{name: r.path[len(n.path)]}
		}
		if !slices.ContainsFunc(list, func(other referrerEntry) bool { return other.name == e.name }) {
			list = append(list, e)
		}
	}
	return list, 0
}

// identity is the identity of an entry.
func (n *referrersNode) identity(e referrerEntry) fusefs.StableAttr {
	if e.digest != "" {
		return n.linkIdentity(e.name, n.target(e.digest))
	}
	return n.repo.identity(syscall.S_IFDIR, "referrers", append([]string{n.digest.String()}, n.pathOf(e.name)...)...)
}

// pathOf is the path of an entry.
func (n *referrersNode) pathOf(name string) []string { return append(slices.Clip(n.path), name) }

// Lookup implements fusefs.NodeLookuper.
func (n *referrersNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	list, errno := n.entries(ctx)
	if errno != 0 {
		return nil, errno
	}
	i := slices.IndexFunc(list, func(e referrerEntry) bool { return e.name == name })
	if i < 0 {
		return nil, syscall.ENOENT
	}
	if e := list[i]; e.digest != "" {
		return n.link(ctx, name, n.target(e.digest), n.tree.tagTTL, out), 0
	}
	child := &referrersNode{n.below(), n.pathOf(name)}
	return n.newPart(ctx, child, n.identity(list[i]), n.tree.tagTTL, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *referrersNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	listed, errno := n.entries(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	var list []fuse.DirEntry
	for _, e := range listed {
		list = append(list, entry(e.name, n.identity(e)))
	}
	return n.openChanging(list...)
}
