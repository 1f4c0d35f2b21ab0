package fs

import (
	"context"
	"iter"
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

// A referrer is one link below referrers/.
type referrer struct {
	// place is where: the elements of its artifact type and the digits of its
	// digest, with a NUL between them.
	place  string
	digest digest.Digest
}

// referrers are sorted by their places, so that those of a folder stand together:
// what is in it is found without a look at the others.
type referrers []referrer

// A referrerEntry is an entry of a folder: a further one, or a link.
type referrerEntry struct {
	name   string
	digest digest.Digest // "" is a folder
}

// from is the first whose place is that one or after it.
func (r referrers) from(place string) int {
	i, _ := slices.BinarySearchFunc(r, place, func(one referrer, place string) int { return strings.Compare(one.place, place) })
	return i
}

// What is in a folder is at its place with inFolder behind it, and so before its
// place with pastFolder behind it. No name holds a NUL.
const (
	inFolder   = "\x00"
	pastFolder = "\x01"
)

// entries are what is in a folder, each once. folder is "", or the elements of its
// path with a NUL after each.
func (r referrers) entries(folder string) iter.Seq[referrerEntry] {
	return func(yield func(referrerEntry) bool) {
		rest := r[r.from(folder):]
		for len(rest) > 0 && strings.HasPrefix(rest[0].place, folder) {
			name, _, deeper := strings.Cut(rest[0].place[len(folder):], inFolder)
			e := referrerEntry{name: name}
			if !deeper {
				e.digest = rest[0].digest
			}
			if !yield(e) {
				return
			}
			rest = rest[rest.from(folder+name+pastFolder):]
		}
	}
}

// entry is the one of that name in a folder.
func (r referrers) entry(folder, name string) (referrerEntry, bool) {
	i := r.from(folder + name)
	switch {
	case i < len(r) && r[i].place == folder+name:
		return referrerEntry{name, r[i].digest}, true
	case i < len(r) && strings.HasPrefix(r[i].place, folder+name+inFolder):
		return referrerEntry{name: name}, true
	}
	return referrerEntry{}, false
}

// referrers are what refers to a manifest. A registry that can't tell has none,
// and a line in the log says so.
func (r *repository) referrers(ctx context.Context, d digest.Digest) (referrers, error) {
	return r.tree.referrers.get(ctx, r.reference(d.String()), func(ctx context.Context) (referrers, error) {
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

func (r *repository) placeReferrers(subject digest.Digest, found []ocispec.Descriptor) referrers {
	var list referrers
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
		r.announce(desc.Digest, "")
		r.refers(desc.Digest, subject)
		place := strings.Join(append(elements, desc.Digest.Encoded()), inFolder)
		list = append(list, referrer{place: place, digest: desc.Digest})
	}
	slices.SortFunc(list, func(a, b referrer) int { return strings.Compare(a.place, b.place) })
	return list
}

// A referrersNode is referrers/ of a manifest, or a folder in it: what refers to
// the manifest, by artifact type. It changes, as tags do.
type referrersNode struct {
	manifestPart
	folder string // as referrers name it
}

var (
	_ fusefs.NodeGetattrer      = (*referrersNode)(nil)
	_ fusefs.NodeLookuper       = (*referrersNode)(nil)
	_ fusefs.NodeOpendirHandler = (*referrersNode)(nil)
)

// target is where the link to a referrer in this folder leads: to the manifest
// beside the subject.
func (n *referrersNode) target(d digest.Digest) string {
	up := strings.Repeat("../", strings.Count(n.folder, inFolder)+2)
	if d.Algorithm() != n.digest.Algorithm() {
		return up + "../" + digestPath(d)
	}
	return up + d.Encoded()
}

// identity is the identity of an entry.
func (n *referrersNode) identity(e referrerEntry) fusefs.StableAttr {
	if e.digest != "" {
		return n.linkIdentity(e.name, n.target(e.digest))
	}
	return n.repo.identity(syscall.S_IFDIR, "referrers", n.digest.String(), n.folder+e.name)
}

// all are the referrers of the manifest, those in this folder among them.
func (n *referrersNode) all(ctx context.Context) (referrers, syscall.Errno) {
	all, err := n.repo.referrers(ctx, n.digest)
	return all, n.tree.errno(ctx, "list referrers", n.reference(), err)
}

// Lookup implements fusefs.NodeLookuper.
func (n *referrersNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	all, errno := n.all(ctx)
	if errno != 0 {
		return nil, errno
	}
	return n.lookupIn(ctx, all, name, out)
}

// lookupIn is Lookup with what the registry has told.
func (n *referrersNode) lookupIn(ctx context.Context, all referrers, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	e, ok := all.entry(n.folder, name)
	switch {
	case !ok:
		return nil, syscall.ENOENT
	case e.digest != "":
		return n.link(ctx, name, n.target(e.digest), n.tree.tagTTL, out), 0
	}
	child := &referrersNode{n.below(), n.folder + name + inFolder}
	return n.newPart(ctx, child, n.identity(e), n.tree.tagTTL, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler. What the registry told then
// is listed, however long that takes.
func (n *referrersNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	all, errno := n.all(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	d := &directory{tree: n.tree}
	d.list = func(_ context.Context, emit func([]fuse.DirEntry) error) error { return n.list(all, emit) }
	d.fail = func(err error) syscall.Errno {
		return n.tree.errno(n.tree.ctx, "list referrers", n.reference(), err)
	}
	d.listed = func(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
		return n.lookupIn(ctx, all, name, out)
	}
	return lookupDirectory{d}, 0, 0
}

// referrersPage is how many referrers are listed at a time: who stops reading waits
// for no more.
const referrersPage = 256

func (n *referrersNode) list(all referrers, emit func([]fuse.DirEntry) error) error {
	page := dots(n.EmbeddedInode())
	for e := range all.entries(n.folder) {
		page = append(page, entry(e.name, n.identity(e)))
		if len(page) >= referrersPage {
			if err := emit(page); err != nil {
				return err
			}
			page = nil
		}
	}
	return emit(page)
}
