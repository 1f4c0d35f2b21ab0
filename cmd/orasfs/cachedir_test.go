package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckCacheDir(t *testing.T) {
	dir := realDir(t)
	mnt := mkdir(t, dir, "mnt")
	file := filepath.Join(dir, "file")
	writeFile(t, file, "")
	symlink(t, "mnt", filepath.Join(dir, "link"))
	symlink(t, "to-be", filepath.Join(dir, "dangling"))

	fresh := filepath.Join(dir, "a", "b")
	if err := checkCacheDir(fresh, mnt); err != nil {
		t.Errorf("a directory to be made: %v", err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache directory is %v, %v", info, err)
	}
	// Only a name in common.
	if err := checkCacheDir(filepath.Join(dir, "mnt-cache"), mnt); err != nil {
		t.Errorf("a directory beside: %v", err)
	}

	const below = "under the mountpoint"
	wantError(t, checkCacheDir(mnt, mnt), below, "--cache-dir")
	wantError(t, checkCacheDir(filepath.Join(mnt, "x", "y"), mnt), below)
	wantError(t, checkCacheDir(filepath.Join(dir, "link", "x"), mnt), below)
	wantError(t, checkCacheDir(dir, mnt), "under the cache directory")
	wantError(t, checkCacheDir(filepath.Join(file, "x"), mnt), "isn't writable", "not a directory", "--cache-dir")
	if entries, err := os.ReadDir(mnt); err != nil || len(entries) > 0 {
		t.Errorf("left in the mountpoint: %v, %v", entries, err)
	}
}

func TestCheckCacheDirNotWritable(t *testing.T) {
	if os.Geteuid() == 0 {
		asPlainUser(t, "TestCheckCacheDirNotWritable")
		return
	}
	dir := realDir(t)
	mnt := mkdir(t, realDir(t), "mnt")
	if err := os.Chmod(dir, 0o500); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	wantError(t, checkCacheDir(dir, mnt), dir, "isn't writable", "permission denied", "--cache-dir")
	wantError(t, checkCacheDir(filepath.Join(dir, "x"), mnt), "isn't writable", "permission denied")
}

func TestIsBelow(t *testing.T) {
	tests := []struct {
		path, dir string
		want      bool
	}{
		{"/a/b", "/a", true},
		{"/a", "/a", true},
		{"/ab", "/a", false},
		{"/a", "/a/b", false},
		{"/a", "/", true},
	}
	for _, test := range tests {
		if got := isBelow(test.path, test.dir); got != test.want {
			t.Errorf("%s below %s: %t", test.path, test.dir, got)
		}
	}
}
