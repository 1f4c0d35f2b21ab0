package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultCacheDir is below the user's cache directory; "" if there is none,
// because HOME isn't set.
func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "orasfs")
}

// checkCacheDir makes the cache directory and sees that it can be used for a
// mount there. Inside the mount it would wait for itself.
func checkCacheDir(dir, mountpoint string) error {
	notWritable := func(err error) error {
		return fmt.Errorf("cache directory %s isn't writable (%w): choose another with --cache-dir", dir, cause(err))
	}
	resolved, err := resolveExisting(dir)
	if err != nil {
		return notWritable(err)
	}
	if isBelow(resolved, mountpoint) {
		return fmt.Errorf("cache directory %s is under the mountpoint: choose another with --cache-dir", dir)
	}
	if isBelow(mountpoint, resolved) {
		return fmt.Errorf("mountpoint %s is under the cache directory %s: choose another, or another --cache-dir", mountpoint, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return notWritable(err)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return notWritable(err)
	}
	return nil
}

// resolveExisting resolves the symbolic links of a path of which the last
// elements needn't exist.
func resolveExisting(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, iofs.ErrNotExist) {
		return resolved, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	if parent, err = resolveExisting(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// isBelow tells whether path is dir or inside it; both are resolved.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
