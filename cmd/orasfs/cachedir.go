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

// defaultCacheDir is below the user's cache directory; "" if there is none.
func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "orasfs")
}

// checkCacheDir makes the cache directory and sees that it can be used for a
// mount there, or without one ("" is none), and that nobody else can change what it holds. Inside the mount
// it would wait for itself. One that can't be written is as good for reading what
// it holds: the cache says so in the log.
func checkCacheDir(dir, mountpoint string) error {
	unusable := func(err error) error {
		return fmt.Errorf("cache directory %s isn't writable (%w): choose another with --cache-dir", dir, cause(err))
	}
	resolved, err := resolveExisting(dir)
	if err != nil {
		return unusable(err)
	}
	if mountpoint != "" && isBelow(resolved, mountpoint) {
		return fmt.Errorf("cache directory %s is under the mountpoint: choose another with --cache-dir", dir)
	}
	if mountpoint != "" && isBelow(mountpoint, resolved) {
		return fmt.Errorf("mountpoint %s is under the cache directory %s: choose another, or another --cache-dir", mountpoint, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(err)
	}
	if err := checkCacheOwn(dir); err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	return nil
}

// checkCacheOwn finds what somebody else may change of a cache directory, or
// has put there: the directories in it that are written to.
func checkCacheOwn(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, cause(err))
	}
	if err := checkOwn(dir, info); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%s: %w: choose another with --cache-dir", dir, cause(err))
	}
	for _, e := range entries {
		if e.Name() != logDir && !strings.HasPrefix(e.Name(), "v") { // v1 and so on are the cache's versions
			continue
		}
		if err := checkOwnDir(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// isReadOnly tells whether an error says that something may not be written here.
func isReadOnly(err error) bool {
	return errors.Is(err, iofs.ErrPermission) || errors.Is(err, unix.EROFS)
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
