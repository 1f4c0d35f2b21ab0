package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
)

// A documentNode is manifest.json: a manifest or an index, byte for byte.
type documentNode struct {
	node
	repo    *repository
	digest  digest.Digest
	size    int64
	created time.Time
}

var (
	_ fusefs.NodeGetattrer = (*documentNode)(nil)
	_ fusefs.NodeOpener    = (*documentNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *documentNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.file(&out.Attr, n.size, n.created)
	out.SetTimeout(forever)
	return 0
}

// Open implements fusefs.NodeOpener. A document is small (resolver.MaxManifest)
// and verified as a whole, so that an open file can hold it.
func (n *documentNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	content, err := ask(ctx, n.tree, "document "+n.repo.name+"@"+n.digest.String(), func(ctx context.Context) ([]byte, error) {
		return n.repo.document(ctx, n.digest)
	})
	if err != nil {
		return nil, 0, n.tree.errno(ctx, "read manifest", n.repo.reference(n.digest.String()), err)
	}
	return document(content), readOnly | fuse.FOPEN_KEEP_CACHE, 0
}

// A document is an open manifest.json.
type document []byte

var _ fusefs.FileReader = document(nil)

// Read implements fusefs.FileReader.
func (d document) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	start := min(off, int64(len(d)))
	end := min(start+int64(len(dest)), int64(len(d)))
	return fuse.ReadResultData(d[start:end]), 0
}

// writes tells whether a file is opened to be changed. The kernel refuses that
// on a mount that is read-only; this is for one that was remounted.
func writes(flags uint32) bool {
	return flags&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_TRUNC) != 0
}
