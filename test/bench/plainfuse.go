//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// plainFuseCommand has this program serve a directory of this machine by FUSE, as
// "bench fuse DIRECTORY MOUNTPOINT": what a mount costs that has nothing to fetch, to
// unpack or to check. The kernel keeps of it whatever it keeps of orasfs.
const plainFuseCommand = "fuse"

// servePlainFuse is the other process. It ends when it is unmounted, or by SIGTERM.
func servePlainFuse(dir, mountpoint string) error {
	below, err := fs.NewLoopbackRoot(dir)
	if err != nil {
		return err
	}
	root, ok := below.(*fs.LoopbackNode)
	if !ok {
		return fmt.Errorf("the root of %s is a %T", dir, below)
	}
	forever := 24 * time.Hour
	server, err := fs.Mount(mountpoint, &plainNode{root}, &fs.Options{
		EntryTimeout: &forever, AttrTimeout: &forever,
		MountOptions: fuse.MountOptions{FsName: dir, Name: "plain", EnableSymlinkCaching: true},
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Unmount() // else who asked does it
	}()
	server.Wait()
	return nil
}

// A plainNode is a file or a directory whose pages and names the kernel keeps.
type plainNode struct{ *fs.LoopbackNode }

// WrapChild implements fs.NodeWrapChilder.
func (n *plainNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	if below, ok := ops.(*fs.LoopbackNode); ok {
		return &plainNode{below}
	}
	return ops
}

// Open implements fs.NodeOpener.
func (n *plainNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.Open(ctx, flags)
	return f, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, errno
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *plainNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	return f, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR, errno
}

// plainFuse is a step that does something with a plain FUSE mount of a directory.
func (w *workplace) plainFuse(dir string, do func(ctx context.Context, mountpoint string) (results, error)) step {
	return func(ctx context.Context) (measured results, err error) {
		mountpoint := filepath.Join(w.dir, "plain")
		self, err := os.Executable()
		if err == nil {
			err = os.Mkdir(mountpoint, 0o700)
		}
		if err != nil {
			return nil, err
		}
		server := exec.CommandContext(ctx, self, plainFuseCommand, dir, mountpoint)
		server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
		server.Stderr = os.Stderr
		if err := server.Start(); err != nil {
			return nil, errors.Join(err, os.Remove(mountpoint))
		}
		defer func() {
			unmounting := w.run(context.WithoutCancel(ctx), "umount", mountpoint)
			if unmounting != nil {
				unmounting = errors.Join(unmounting, server.Process.Kill())
			}
			err = errors.Join(err, unmounting, server.Wait(), os.Remove(mountpoint))
		}()
		served := until(ctx, func(context.Context) error {
			var above, here syscall.Stat_t
			err := errors.Join(syscall.Stat(w.dir, &above), syscall.Stat(mountpoint, &here))
			if err == nil && above.Dev == here.Dev {
				err = fmt.Errorf("nothing is mounted at %s", mountpoint)
			}
			return err
		})
		if served != nil {
			return nil, served
		}
		return do(ctx, mountpoint)
	}
}
