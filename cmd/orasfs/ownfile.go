package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What others may change they can turn against who uses it: a link in the place
// of a file makes orasfs write to the link's target, and a cache that they fill
// is believed. Since a directory that is the user's own can't be changed by
// anybody else after it was checked, it is enough to check it once.

// checkOwn finds who else may change a file or directory. Its group may, where
// that is the user's own.
func checkOwn(path string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mode := info.Mode().Perm()
	switch {
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (%d): choose another directory with --cache-dir", path, stat.Uid)
	case mode&0o002 != 0 || mode&0o020 != 0 && int(stat.Gid) != os.Getegid():
		return fmt.Errorf("others may write to %s (mode %04o): run chmod go-w %s, or choose another directory with --cache-dir", path, mode, path)
	}
	return nil
}

// checkOwnDir is checkOwn for what has to be a directory itself and no link to
// one. It needn't be there.
func checkOwnDir(path string) error {
	info, err := os.Lstat(path)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path, cause(err))
	case !info.IsDir():
		return fmt.Errorf("%s is %s and not a directory: remove it, or choose another directory with --cache-dir", path, kindOf(info))
	}
	return checkOwn(path, info)
}

// openOwnFile opens a file that has to be a regular one of the user's own, and
// no link to one.
func openOwnFile(path string, flags int) (*os.File, error) {
	refuse := func(info os.FileInfo) error {
		return fmt.Errorf("%s is %s and not a file: remove it, or choose another directory with --cache-dir", path, kindOf(info))
	}
	// A named pipe would wait for somebody at its other end.
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600) //nolint:gosec // checked below
	if err != nil {
		if info, missing := os.Lstat(path); missing == nil && !info.Mode().IsRegular() {
			return nil, refuse(info)
		}
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refuse(info)
	}
	if err == nil {
		err = checkOwn(path, info)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func kindOf(info os.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode&os.ModeSymlink != 0:
		return "a symbolic link"
	default:
		return "something special"
	}
}
