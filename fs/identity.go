package fs

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/bits"
	"strconv"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/images"
)

// This file says which objects of a mount are one inode. The same object always
// has the same number, in every mount of the same content, so that programs which
// compare device and inode (diff, cp, tar, rsync) see what is one and what isn't.
//
// All that belongs to a repository has its name in it, with the registry's: what
// two registries show is two objects, since each answers for its own.
//
//	kind           what tells two of them apart             shared by
//	registries     nothing: the root of every registry
//	namespace      registry, name
//	_tags, …       repository
//	tag            repository, name
//	followed       repository, tag: the root that follows it, and its ..data
//	manifest       repository, digest
//	part           repository, manifest, name in it
//	folder         repository, manifest, path in files/
//	layer          repository, manifest, number             files/ and layers/
//	opened         repository, manifest, number: layers/NN/
//	unpacked       repository, manifest, number, in files/
//	archived       repository, manifest, number: a file in the archive
//	referrers      repository, manifest, path below referrers/
//	layout         repository, manifest, name in it
//	layout blobs   repository, manifest, algorithm
//	document       repository, digest: a manifest as a blob  all layouts
//	blob           repository, digest, size                 _blobs/ and all layouts
//	link           the directory it is in, name, target
//	entry          origin, layer, number: see below         all images of the origin
//	own entry      repository, manifest, layer, number
//	merged         repository, manifest, layer, path: a directory of a tree
//
// An entry of an archive that isn't a directory is one object wherever its layer
// is, in any repository of one registry, which gives the same bytes in all of
// them; so the kernel keeps a shared base layer's files once. That isn't so of a
// file that other layers have a part in (archive.Node.Own). While a pass goes on,
// or a plain tar isn't verified, it is the same object as after that: what the
// kernel may keep of it is another question (pages.go).

// identity gives the inode of the object that kind and key name.
//
// go-fuse takes two inodes for the same node if number, generation and type
// are the same. Both come from a cryptographic hash, so that no choice of
// names makes two objects one.
func identity(mode uint32, kind string, key ...string) fusefs.StableAttr {
	h := sha256.New()
	for _, part := range append([]string{kind}, key...) {
		// The length in front keeps ("a", "bc") and ("ab", "c") apart.
		_, _ = io.WriteString(h, strconv.Itoa(len(part))+":"+part)
	}
	sum := h.Sum(nil)
	return allowed(fusefs.StableAttr{
		Mode: mode,
		Ino:  binary.LittleEndian.Uint64(sum),
		Gen:  binary.LittleEndian.Uint64(sum[8:]),
	})
}

// allowed is an identity without the numbers that go-fuse keeps for itself.
func allowed(attr fusefs.StableAttr) fusefs.StableAttr {
	if attr.Reserved() || attr.Ino == 0 {
		attr.Ino = 2 // one below the first number that a hash is likely to give
	}
	return attr
}

// numbered is the identity of one of many objects that have one of their own
// together, without a hash for each: another number for each, and one generation
// that no others have.
func numbered(mode uint32, of fusefs.StableAttr, number uint64) fusefs.StableAttr {
	const scatter = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio: odd, so nothing meets
	of.Mode, of.Ino = mode, of.Ino^bits.ReverseBytes64(number*scatter)
	return allowed(of)
}

// identity is the identity of an object of this repository.
func (r *repository) identity(mode uint32, kind string, key ...string) fusefs.StableAttr {
	return identity(mode, kind, append([]string{r.name}, key...)...)
}

// blobIdentity is the identity of a blob by its digest. A descriptor that lies
// about the size is another file, and no help to the one that doesn't.
func (r *repository) blobIdentity(d digest.Digest, size int64) fusefs.StableAttr {
	return r.identity(syscall.S_IFREG, "blob", d.String(), strconv.FormatInt(size, 10))
}

// layerIdentity is the identity of a manifest's layer, wherever it shows. Two
// manifests don't share it, because annotations and time are the manifest's.
func layerIdentity(r *repository, manifest digest.Digest, index int) fusefs.StableAttr {
	return r.identity(syscall.S_IFREG, "layer", manifest.String(), strconv.Itoa(index))
}

// openedIdentity is the identity of an opened layer's directory.
func openedIdentity(r *repository, manifest digest.Digest, index int) fusefs.StableAttr {
	return r.identity(syscall.S_IFDIR, "opened", manifest.String(), strconv.Itoa(index))
}

// partIdentity is the identity of a part of the repository of that name.
func partIdentity(repository, part string) fusefs.StableAttr {
	return identity(syscall.S_IFDIR, part, repository)
}

// identity is the identity of a node of the view's tree.
func (v *view) identity(t *images.Tree, n archive.Node) fusefs.StableAttr {
	mode := uint32(n.Type())
	layer, entry, ok := t.Layer(n)
	switch {
	case !ok || mode == syscall.S_IFDIR:
		return v.repo.identity(mode, "merged", v.manifest.String(), strconv.Itoa(v.layer), n.Path())
	case n.Own():
		return numbered(mode, v.entries(layer, true), uint64(entry)) //nolint:gosec // not negative
	}
	return numbered(mode, v.entries(layer, false), uint64(entry)) //nolint:gosec // likewise
}

// entries is what the entries of a layer have together: of the origin, or of the
// manifest alone.
func (v *view) entries(layer string, own bool) fusefs.StableAttr {
	key := layerEntries{layer, v.repo.origin}
	if own {
		key.whose = v.reference()
	}
	if id, ok := v.repo.tree.entries.Get(key); ok {
		return id
	}
	kind := "entry"
	if own {
		kind = "own entry"
	}
	id := identity(0, kind, key.whose, layer)
	v.repo.tree.entries.Add(key, id)
	return id
}

// layerEntries are the entries of a layer, as whose they are.
type layerEntries struct{ layer, whose string }
