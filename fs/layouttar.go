package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/cache"
)

// A layoutTarNode is layout.tar of a manifest: what is in layout/, as one tar. It
// isn't made anywhere: a read fetches what it asks for, at any offset.
type layoutTarNode struct{ manifestPart }

var (
	_ fusefs.NodeGetattrer = (*layoutTarNode)(nil)
	_ fusefs.NodeOpener    = (*layoutTarNode)(nil)
)

// newLayoutTar makes the inode of layout.tar in the directory p.
func (p *manifestPart) newLayoutTar(ctx context.Context, id fusefs.StableAttr, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	n := &layoutTarNode{p.below()}
	c, plan, errno := n.plan(ctx)
	if errno != 0 {
		return nil, errno
	}
	n.tree.file(&out.Attr, plan.size, n.created)
	keep(out, c.keepFor())
	return p.NewInode(ctx, n, id), 0
}

func (n *layoutTarNode) plan(ctx context.Context) (*closure, *tarPlan, syscall.Errno) {
	c, errno := n.closure(ctx)
	if errno != 0 {
		return nil, nil, errno
	}
	plan, err := planTar(c)
	return c, plan, n.tree.errno(ctx, "make layout.tar", n.reference(), err)
}

// Getattr implements fusefs.NodeGetattrer.
func (n *layoutTarNode) Getattr(ctx context.Context, f fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if open, ok := f.(*openLayoutTar); ok { // it has the size that it was opened with
		n.tree.file(&out.Attr, open.plan.size, n.created)
		return 0
	}
	c, plan, errno := n.plan(ctx)
	if errno != 0 {
		return errno
	}
	n.tree.file(&out.Attr, plan.size, n.created)
	out.SetTimeout(c.keepFor())
	return 0
}

// Open implements fusefs.NodeOpener. The kernel keeps no pages of it: two who have
// it open must not see each other's bytes, since a blob of it may turn out to be
// wrong, nor another size than their own, since a manifest that was left out may
// be there the next time.
func (n *layoutTarNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	c, plan, errno := n.plan(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return &openLayoutTar{node: n, closure: c, plan: plan}, readOnly | fuse.FOPEN_DIRECT_IO, 0
}

// An openLayoutTar is an open layout.tar. It has the blobs open that it was read
// in last, so that each is read ahead, and those that aren't verified: who has got
// bytes of one that turns out to be wrong gets no others in their place.
type openLayoutTar struct {
	node    *layoutTarNode
	closure *closure
	plan    *tarPlan

	mu   sync.Mutex   // guards what follows
	open []*tarMember // the one used last is the last
}

// A tarMember is a blob that is open for an openLayoutTar.
type tarMember struct {
	index  int
	blob   *cache.Blob
	reader *cache.Reader
	users  int
}

// Close implements io.Closer.
func (t *tarMember) Close() error { return errors.Join(t.reader.Close(), t.blob.Close()) }

// maxOpenMembers is how many that are verified are kept open: a read may go beyond
// the end of a blob, and beyond that of a small one after it.
const maxOpenMembers = 4

var (
	_ fusefs.FileReader   = (*openLayoutTar)(nil)
	_ fusefs.FileReleaser = (*openLayoutTar)(nil)
)

// Read implements fusefs.FileReader.
func (o *openLayoutTar) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	dest = dest[:max(0, min(int64(len(dest)), o.plan.size-off))]
	err := o.plan.read(dest, off, func(b []byte, i int, off int64) error { return o.readMember(ctx, b, i, off) })
	if err != nil {
		return nil, o.node.tree.contentErrno(ctx, "read layout.tar", o.node.reference(), err)
	}
	return fuse.ReadResultData(dest), 0
}

// readMember fills b with a member's bytes.
func (o *openLayoutTar) readMember(ctx context.Context, b []byte, i int, off int64) error {
	m := o.closure.members[i]
	if m.document {
		content, _, err := o.node.repo.document(ctx, m.digest)
		if err == nil && int64(len(content)) != m.size {
			err = fmt.Errorf("manifest %s has %d bytes, not %d", m.digest, len(content), m.size)
		}
		if err == nil {
			copy(b, content[off:])
		}
		return err
	}
	t, err := o.use(i)
	if err != nil {
		return err
	}
	n, err := t.reader.ReadAt(ctx, b, off)
	switch {
	case n == len(b):
		err = nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("blob %s: %w", m.digest, io.ErrUnexpectedEOF)
	}
	return errors.Join(err, o.done(t))
}

// use opens a member, or takes one that is open.
func (o *openLayoutTar) use(i int) (*tarMember, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := slices.IndexFunc(o.open, func(t *tarMember) bool { return t.index == i })
	if at >= 0 {
		t := o.open[at]
		o.open = append(slices.Delete(o.open, at, at+1), t)
		t.users++
		return t, nil
	}
	blob, err := o.node.repo.open(o.closure.members[i].descriptor())
	if err != nil {
		return nil, err
	}
	t := &tarMember{index: i, blob: blob, reader: blob.Reader(), users: 1}
	o.open = append(o.open, t)
	return t, nil
}

// done ends a use, and closes what is one too many.
func (o *openLayoutTar) done(t *tarMember) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.users--
	var err error
	for len(o.open) > maxOpenMembers {
		i := slices.IndexFunc(o.open, func(t *tarMember) bool { return t.users == 0 && t.blob.Verified() })
		if i < 0 {
			break
		}
		err = errors.Join(err, o.open[i].Close())
		o.open = slices.Delete(o.open, i, i+1)
	}
	return err
}

// Release implements fusefs.FileReleaser.
func (o *openLayoutTar) Release(context.Context) syscall.Errno {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	for _, t := range o.open {
		err = errors.Join(err, t.Close())
	}
	o.open = nil
	return o.node.tree.errno(o.node.tree.ctx, "close layout.tar", o.node.reference(), err)
}
