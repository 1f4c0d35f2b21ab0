package fs

import (
	"context"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// An interrupt fails a request that has no entry yet, and ends one that has.
func TestInterruptedListing(t *testing.T) {
	tree := &tree{registries: newRegistries()}
	tree.ctx, tree.cancel = context.WithCancel(t.Context())
	pages := make(chan []fuse.DirEntry)
	d := &directory{tree: tree, fail: fusefs.ToErrno, list: func(ctx context.Context, emit func([]fuse.DirEntry) error) error {
		for {
			select {
			case page := <-pages:
				if err := emit(page); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}}
	request := func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }
	read := func(ctx context.Context, name string, errno syscall.Errno) {
		t.Helper()
		e, got := d.Readdirent(ctx)
		if got != errno || (e == nil) != (name == "") || e != nil && e.Name != name {
			t.Errorf("%v, %v; want %q, %v", e, got, name, errno)
		}
	}
	fresh, interrupt := request()
	interrupt()
	read(fresh, "", syscall.EINTR)

	first, interrupt := request()
	go func() { pages <- []fuse.DirEntry{{Name: "a"}, {Name: "b"}} }()
	read(first, "a", 0)
	read(first, "b", 0)
	interrupt()
	read(first, "", 0) // what it has is its answer

	second, interrupt := request()
	interrupt()
	read(second, "", syscall.EINTR) // it has nothing

	third, interrupt := request()
	go func() { pages <- []fuse.DirEntry{{Name: "c"}} }()
	read(third, "c", 0) // and didn't fit: go-fuse asks no more
	interrupt()
	fourth, interrupt := request()
	interrupt()
	read(fourth, "", 0) // it has c

	if errno := d.Seekdir(t.Context(), 0); errno != 0 {
		t.Error(errno)
	}
	fifth, interrupt := request()
	interrupt()
	read(fifth, "", syscall.EINTR)
	d.Releasedir(t.Context(), 0)
	tree.close()
}
