package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fsType is what the kernel calls a mount of ours: package fs names it.
const fsType = "fuse.orasfs"

// resolveMountpoint makes a path absolute and free of symbolic links, as the
// kernel's mount table shows it.
func resolveMountpoint(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// The mount table first: a mount whose daemon hangs doesn't answer.
	if m, err := mountAt(abs); err == nil && m != nil {
		return abs, nil
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err == nil {
		return resolved, nil
	}
	// Behind a link there is a mount that doesn't answer us: its daemon is
	// dead, or it is another user's.
	var failed *iofs.PathError
	if errors.As(err, &failed) {
		if m, err := mountAt(failed.Path); err == nil && m != nil {
			return failed.Path, nil
		}
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return "", fmt.Errorf("mountpoint %s doesn't exist: create it with mkdir -p", path)
	}
	return "", fmt.Errorf("mountpoint %s: %w", path, cause(err))
}

// mountAt is the mount that covers others at path, which must be resolved; nil
// if nothing is mounted there.
func mountAt(path string) (*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != path, false
	})
	if err != nil || len(mounts) == 0 {
		return nil, err
	}
	return mounts[len(mounts)-1], nil
}

// checkMountpoint finds what keeps a resolved path from having a target mounted on it.
// A mount of orasfs that is dead is taken away.
func checkMountpoint(ctx context.Context, dir, target string) error {
	mount, err := mountAt(dir)
	if err != nil {
		return fmt.Errorf("mountpoint %s: %w", dir, err)
	}
	if mount != nil && mount.FSType == fsType {
		if err := clearDead(ctx, mount, target); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, syscall.ENOTCONN):
		return fmt.Errorf("mountpoint %s is a dead mount: run umount %s first", dir, dir)
	case err != nil:
		return fmt.Errorf("mountpoint %s: %w", dir, cause(err))
	case !info.IsDir():
		return fmt.Errorf("mountpoint %s is not a directory: choose one that is", dir)
	}
	if err := checkEmpty(dir); err != nil {
		return err
	}
	// fusermount3 demands it of everybody but root.
	if os.Geteuid() != 0 && unix.Access(dir, unix.W_OK) != nil {
		return fmt.Errorf("mountpoint %s isn't writable for you: choose a directory of your own", dir)
	}
	return nil
}

func checkEmpty(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("mountpoint %s: %w", dir, cause(err))
	}
	_, err = d.Readdirnames(1)
	if closed := d.Close(); errors.Is(err, io.EOF) {
		err = closed
	} else if err == nil {
		return fmt.Errorf("mountpoint %s is not empty: choose an empty directory", dir)
	}
	if err != nil {
		return fmt.Errorf("mountpoint %s: %w", dir, cause(err))
	}
	return nil
}

// cause is the error without the path, which the message names already.
func cause(err error) error {
	var failed *iofs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
