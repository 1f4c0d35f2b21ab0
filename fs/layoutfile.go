package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A layoutFileNode is a file of a layout that is no blob: its inode holds it.
type layoutFileNode struct {
	node
	content  []byte
	modified time.Time
}

var (
	_ fusefs.NodeGetattrer = (*layoutFileNode)(nil)
	_ fusefs.NodeOpener    = (*layoutFileNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *layoutFileNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.tree.file(&out.Attr, int64(len(n.content)), n.modified)
	out.SetTimeout(forever)
	return 0
}

// Open implements fusefs.NodeOpener.
func (n *layoutFileNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	return document(n.content), readOnly | fuse.FOPEN_KEEP_CACHE, 0
}
