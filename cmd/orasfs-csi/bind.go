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
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fsType is what the table of mounts calls a mount of orasfs.
const fsType = "fuse.orasfs"

// answersWithin is what a mount gets to say whether the process that serves it is there.
const answersWithin = 2 * time.Second

// errSilent is that a mount doesn't answer.
var errSilent = errors.New("it doesn't answer")

// statMount asks a mount what it holds, for answersWithin at most.
func statMount(dir string) (st unix.Statfs_t, err error) {
	type answer struct {
		st  unix.Statfs_t
		err error
	}
	answers := make(chan answer, 1)
	go func() { // a mount that hangs may never answer
		var a answer
		a.err = unix.Statfs(dir, &a.st)
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.st, a.err
	case <-time.After(answersWithin):
		return st, errSilent
	}
}

// mountsAt are the mounts at a path, each covering those before it.
func mountsAt(path string) ([]*mountinfo.Info, error) {
	// The table has no links; where the path leads to may itself not answer.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil {
		return nil, fmt.Errorf("the table of mounts: %w", err)
	}
	return all, nil
}

// isServed says whether a mount of orasfs is at a path that a process serves. One that
// doesn't answer is an error: it may be busy, and others may be reading.
func isServed(path string) (bool, error) {
	mounted, err := isShown(path)
	if err != nil || !mounted {
		return false, err
	}
	_, err = statMount(path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOTCONN):
		return false, nil
	}
	return false, fmt.Errorf("mount %s: %w", path, err)
}

// isShown says whether a mount of orasfs is at a path, be it served or not.
func isShown(path string) (bool, error) {
	all, err := mountsAt(path)
	return len(all) > 0 && all[len(all)-1].FSType == fsType, err
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
		o.file, o.err = openInside(mount, subPath)
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

func openInside(mount, subPath string) (*os.File, error) {
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
		all, err := mountsAt(path)
		if err != nil || len(all) == 0 {
			return err
		}
		if top := all[len(all)-1]; top.FSType != fsType {
			return fmt.Errorf("%s is a mount of %s, not of orasfs", path, top.FSType)
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

// removeTarget unmounts a target and removes its directory, if either is there. What is
// in a directory is never removed.
func removeTarget(target string) error {
	if err := unmountAll(target); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}
