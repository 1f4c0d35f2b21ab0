package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A metBlob is a blob that was met.
//
// What a manifest or the cache says of its size holds. What a registry told by
// itself is a hint: it is asked again after the tags' time to live, or once a
// read has failed, and gives way to what a manifest says.
type metBlob struct {
	ocispec.Descriptor
	told time.Time // when the registry told the size; zero where it is no hint
}

func (b metBlob) hint() bool { return !b.told.IsZero() }

// doubtful is when a hint was told that led to a failure: long ago.
var doubtful = time.Unix(0, 0)

// meetBlob remembers a blob, and gives what is remembered then.
func (r *repository) meetBlob(b metBlob) metBlob {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.blobs.Peek(b.Digest); ok && b.hint() && !before.hint() {
		return before
	}
	r.blobs.Add(b.Digest, b)
	return b
}

// doubt has the registry asked again how many bytes a blob has, if that it has so
// many is only a hint.
func (r *repository) doubt(desc ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.blobs.Peek(desc.Digest); ok && b.hint() && b.Size == desc.Size {
		b.told = doubtful
		r.blobs.Add(desc.Digest, b)
	}
}

// denyBlob forgets a blob that was known by a hint, where the registry says now
// that it isn't there.
func (r *repository) denyBlob(d digest.Digest, err error) {
	if !missing(err) && !denied(err) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.blobs.Peek(d); ok && b.hint() {
		r.blobs.Remove(d)
		r.known.Remove(d)
	}
}

// sized is a blob of which only its digest is given. The registry is asked unless
// a manifest or the cache says how large it is.
func (r *repository) sized(ctx context.Context, d digest.Digest) (metBlob, error) {
	before, met := r.blobs.Get(d)
	if met && !before.hint() {
		return before, nil
	}
	if size, ok := r.tree.cache.CachedSize(d); ok && !r.local {
		err := r.has(ctx, d, func(ctx context.Context) error {
			_, err := r.source.BlobSize(ctx, d)
			return err
		})
		if err != nil {
			return metBlob{}, err
		}
		return r.meetBlob(metBlob{Descriptor: unknownBlob(d, size)}), nil
	}
	if met && time.Since(before.told) < r.tree.tagTTL {
		return before, nil
	}
	return ask(ctx, r.tree, "blob "+r.reference(d.String()), func(ctx context.Context) (metBlob, error) {
		size, err := r.source.BlobSize(ctx, d)
		if met && unreachable(err) {
			size, err = before.Size, nil
		}
		if err != nil {
			r.denyBlob(d, err)
			return metBlob{}, err
		}
		b := metBlob{Descriptor: unknownBlob(d, size)}
		if !r.local {
			b.told = time.Now()
		}
		return r.meetBlob(b), nil
	})
}

// unknownBlob describes a blob that no manifest described.
func unknownBlob(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}
}

// A hintedBlobNode is a blob's file whose size is a hint.
type hintedBlobNode struct{ blobNode }

var (
	_ fusefs.NodeGetattrer = (*hintedBlobNode)(nil)
	_ fusefs.NodeOpener    = (*hintedBlobNode)(nil)
)

// newHintedBlob makes the inode of the file of a blob in the directory n.
func (n *node) newHintedBlob(ctx context.Context, r *repository, desc ocispec.Descriptor, id fusefs.StableAttr, out *fuse.EntryOut) *fusefs.Inode {
	n.tree.file(&out.Attr, desc.Size, time.Time{})
	keep(out, n.tree.tagTTL)
	b := &hintedBlobNode{blobNode{node: node{tree: n.tree}, repo: r, desc: desc, pages: pages{id: id}}}
	return n.NewInode(ctx, b, n.tree.spent.successor(id))
}

// Getattr implements fusefs.NodeGetattrer.
func (n *hintedBlobNode) Getattr(ctx context.Context, f fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.blobNode.Getattr(ctx, f, out)
	if b, ok := n.repo.blobs.Peek(n.desc.Digest); !ok || b.hint() || b.Size != n.desc.Size {
		out.SetTimeout(n.tree.tagTTL)
	}
	return errno
}

// Open implements fusefs.NodeOpener. ESTALE has the kernel look the name up again,
// once: it finds the inode of the size that is known now.
func (n *hintedBlobNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if b, ok := n.repo.blobs.Peek(n.desc.Digest); ok && (b.Size != n.desc.Size || b.told.Equal(doubtful)) {
		return nil, 0, syscall.ESTALE
	}
	file, how, errno := n.blobNode.Open(ctx, flags)
	n.failed(errno)
	if open, ok := file.(*openBlob); ok {
		return &openHintedBlob{open, n}, how, errno
	}
	return file, how, errno
}

// failed takes a failure for one of the size.
func (n *hintedBlobNode) failed(errno syscall.Errno) {
	if errno != 0 && errno != syscall.EINTR && errno != syscall.EROFS && errno != syscall.ESTALE {
		n.repo.doubt(n.desc)
	}
}

// An openHintedBlob is an open file of such a blob.
type openHintedBlob struct {
	*openBlob
	hinted *hintedBlobNode
}

var _ fusefs.FileReader = (*openHintedBlob)(nil)

// Read implements fusefs.FileReader.
func (o *openHintedBlob) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	result, errno := o.openBlob.Read(ctx, dest, off)
	o.hinted.failed(errno)
	return result, errno
}
