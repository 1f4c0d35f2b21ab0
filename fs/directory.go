package fs

import (
	"context"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A lister produces the entries of a directory in pages, in an order that
// doesn't change from one call to the next. It stops with the error of emit.
type lister func(ctx context.Context, emit func([]fuse.DirEntry) error) error

// A directory is an open directory: a stream of entries that is produced as it
// is read, one page ahead at most, so that a registry's longest list is never
// held whole.
//
// An entry's offset is its place in the stream. Going back begins the stream
// anew and skips (telldir(3), seekdir(3), rewinddir(3)).
//
// go-fuse doesn't call the methods of one handle at the same time.
type directory struct {
	tree *tree
	list lister
	// fail tells the errno of a listing that failed, and logs it.
	fail func(error) syscall.Errno
	// listed, if not nil, gives the node of an entry that was just listed
	// without asking anybody whether it is there.
	listed func(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno)

	// request is that of the last call of Readdirent, and gave tells whether that
	// call gave an entry: see interrupted.
	request context.Context
	gave    bool

	next  uint64 // place of the next entry
	pages chan page
	stop  context.CancelFunc
	page  []fuse.DirEntry
	err   error // how the stream ended
	done  bool
}

// A page is what a lister emitted, or how it ended.
type page struct {
	entries []fuse.DirEntry
	err     error
	last    bool
}

var (
	_ fusefs.FileReaddirenter = (*directory)(nil)
	_ fusefs.FileSeekdirer    = (*directory)(nil)
	_ fusefs.FileReleasedirer = (*directory)(nil)
	_ fusefs.FileLookuper     = (*lookupDirectory)(nil)
)

// A lookupDirectory answers a READDIRPLUS' lookups itself. An error there is no
// answer: the kernel looks the entry up when it is wanted.
type lookupDirectory struct{ *directory }

// Lookup implements fusefs.FileLookuper.
func (d lookupDirectory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return d.listed(ctx, name, out)
}

// start begins the stream.
func (d *directory) start() {
	ctx, stop := context.WithCancel(d.tree.ctx)
	pages := make(chan page)
	d.pages, d.stop = pages, stop
	d.page, d.err, d.done, d.next = nil, nil, false, 0
	send := func(p page) error {
		select {
		case pages <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	running := d.tree.run(func() error {
		return d.list(ctx, func(entries []fuse.DirEntry) error { return send(page{entries: entries}) })
	}, func(err error) {
		// An error here is that nobody reads any more.
		_ = send(page{err: err, last: true})
		close(pages)
	})
	if !running {
		d.done, d.err = true, context.Canceled
		close(pages)
	}
}

// end stops the stream and waits for it.
func (d *directory) end() {
	if d.stop == nil {
		return
	}
	d.stop()
	for range d.pages { //nolint:revive // until it is closed
	}
	d.stop = nil
}

// open begins the stream and waits for what comes first: a list that isn't there
// can't be opened.
func (d *directory) open(ctx context.Context) syscall.Errno {
	d.start()
	if !d.receive(ctx) {
		d.end()
		return syscall.EINTR
	}
	if d.err == nil {
		return 0
	}
	d.end()
	return d.fail(d.err)
}

// receive waits for the next page; false is that ctx has ended before.
func (d *directory) receive(ctx context.Context) bool {
	select {
	case p, ok := <-d.pages:
		if !ok { // the tree is closed
			p = page{err: context.Canceled, last: true}
		}
		d.page, d.err, d.done = p.entries, p.err, p.last
		return true
	case <-ctx.Done():
		return false
	}
}

// Readdirent implements fusefs.FileReaddirenter.
func (d *directory) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	entry, errno := d.read(ctx)
	if errno == syscall.EINTR && d.partial(ctx) {
		errno = 0 // what the request has is its answer; the next one goes on
	}
	d.request, d.gave = ctx, entry != nil
	return entry, errno
}

// partial tells whether go-fuse has entries for the request already. Then the
// request must not fail with an interrupt: go-fuse would remember that error,
// answer with it each time that a buffer is full, and lose an entry each time.
//
// Within one request it has what it was given. At the start of another it has
// one if the last call gave an entry and none followed it: that one didn't fit.
func (d *directory) partial(ctx context.Context) bool { return d.gave || d.request == ctx }

// read is the next entry, nil at the end.
func (d *directory) read(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.stop == nil {
		d.start()
	}
	for len(d.page) == 0 {
		if d.done {
			if d.err != nil {
				return nil, d.fail(d.err)
			}
			return nil, 0
		}
		if !d.receive(ctx) {
			return nil, syscall.EINTR
		}
	}
	entry := d.page[0]
	d.page = d.page[1:]
	d.next++
	entry.Off = d.next
	return &entry, 0
}

// Seekdir implements fusefs.FileSeekdirer.
func (d *directory) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	if off < d.next {
		d.end()
		d.start()
	}
	d.request, d.gave = nil, false // go-fuse drops what didn't fit
	for d.next < off {
		entry, errno := d.read(ctx)
		if errno != 0 {
			return errno
		}
		if entry == nil {
			break
		}
	}
	return 0
}

// Releasedir implements fusefs.FileReleasedirer.
func (d *directory) Releasedir(context.Context, uint32) {
	d.end()
}

// entries lists what is known beforehand.
func entries(list ...fuse.DirEntry) lister {
	return func(_ context.Context, emit func([]fuse.DirEntry) error) error {
		return emit(list)
	}
}

// entry is a directory entry for an inode. The name is a copy: it lives as long as the
// kernel knows it, and what it is a part of needn't.
func entry(name string, id fusefs.StableAttr) fuse.DirEntry {
	return fuse.DirEntry{Name: strings.Clone(name), Mode: id.Mode, Ino: id.Ino}
}

// dots are the entries that every directory begins with.
func dots(n *fusefs.Inode) []fuse.DirEntry {
	self := n.StableAttr()
	_, parent := n.Parent()
	if parent == nil {
		parent = n
	}
	return []fuse.DirEntry{entry(".", self), entry("..", parent.StableAttr())}
}

// known is an open directory whose entries are known.
func (n *node) known(list []fuse.DirEntry) *directory {
	return &directory{tree: n.tree, list: entries(append(dots(n.EmbeddedInode()), list...)...), fail: fusefs.ToErrno}
}

// immutable is how a directory is opened whose entries never change: the kernel
// may keep its list.
const immutable = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE

// openImmutable opens a directory whose entries never change.
func (n *node) openImmutable(list ...fuse.DirEntry) (fusefs.FileHandle, uint32, syscall.Errno) {
	return n.known(list), immutable, 0
}

// openChanging opens a directory whose entries may be others the next time.
func (n *node) openChanging(list ...fuse.DirEntry) (fusefs.FileHandle, uint32, syscall.Errno) {
	return n.known(list), 0, 0
}
