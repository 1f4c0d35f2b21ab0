//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fsType is what the table of mounts calls a mount of orasfs.
const fsType = "fuse.orasfs"

// mountsAt are the mounts at a path, each covering those before it. A link on the way to
// the path, as where /var/lib/kubelet is one, is not a part of what the table says.
func mountsAt(path string) ([]*mountinfo.Info, error) {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil { // else nothing can be there
		path = filepath.Join(dir, filepath.Base(path))
	}
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil {
		return nil, fmt.Errorf("the table of mounts: %w", err)
	}
	return all, nil
}

// mountAt is the mount of orasfs that is seen at a path, nil where nothing is mounted.
// One of somebody else is an error.
func mountAt(path string) (*mountinfo.Info, error) {
	all, err := mountsAt(path)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	top := all[len(all)-1]
	if top.FSType != fsType {
		return nil, fmt.Errorf("%s is a mount of %s, not of orasfs", path, top.FSType)
	}
	return top, nil
}

// isServed says whether a process serves the mount of orasfs at a path, if there is one.
// One that is slow isn't one that has ended: it is waited for until ctx ends.
func isServed(ctx context.Context, path string) (bool, error) {
	m, err := mountAt(path)
	if m == nil {
		return false, err
	}
	_, err = statMount(ctx, m)
	if errors.Is(err, errSilent) {
		return false, fmt.Errorf("what is mounted at %s: %w", path, err)
	}
	return !errors.Is(err, unix.ENOTCONN), nil
}

// bind shows a directory of a mount at a target, which it makes. What the mount has of
// ro, nosuid and nodev the target has as well.
func bind(ctx context.Context, mount, subPath, target string) error {
	dir, err := openBelow(ctx, mount, subPath)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it was only a name
	if err := os.Mkdir(target, 0o750); err != nil && !errors.Is(err, iofs.ErrExist) {
		return err
	}
	from := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
	if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", mount, target, err)
	}
	return nil
}

// openBelow opens a directory below a mount, and follows no link out of it: links are an
// artifact's, and would lead to what the node has.
func openBelow(ctx context.Context, mount, subPath string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() { // it takes as long as the registry, and can't be interrupted
		var o opened
		o.file, o.err = openInside(ctx, mount, subPath)
		done <- o
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.file != nil {
				_ = o.file.Close() // it was only a name
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func openInside(ctx context.Context, mount, subPath string) (*os.File, error) {
	root, err := unix.Open(mount, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &iofs.PathError{Op: "open", Path: mount, Err: err}
	}
	top := os.NewFile(uintptr(root), mount)
	if subPath == "" {
		return top, nil
	}
	defer top.Close() //nolint:errcheck // it was only a name
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, subPath, how)
	// The kernel doesn't follow .. for sure while anything is mounted or renamed, and a
	// child that ends interrupts who waits.
	for (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)) && ctx.Err() == nil {
		fd, err = unix.Openat2(root, subPath, how)
	}
	if errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("subPath %s is a file, and a volume is a directory: leave it out, and give the file's name as subPath of the container's volumeMounts", subPath)
	}
	if err != nil {
		return nil, fmt.Errorf("subPath %s of the artifact: %w", subPath, err)
	}
	return os.NewFile(uintptr(fd), subPath), nil
}

// unmountAll takes away every mount of orasfs at a path. A busy one is detached: who has
// a file of it open can go on with that.
func unmountAll(path string) error {
	for {
		m, err := mountAt(path)
		if m == nil {
			return err
		}
		err = unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) { // which is that somebody else was sooner
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// removeDir removes a directory, if it is there and empty. What else is there stays.
func removeDir(path string) error {
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return &iofs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// removeMount unmounts what orasfs has mounted at a path, and removes the directory.
func removeMount(path string) error {
	if err := unmountAll(path); err != nil {
		return err
	}
	return removeDir(path)
}
