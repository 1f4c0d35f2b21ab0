package main

import (
	"os"
	"path/filepath"
	"strings"
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

// What can't be written can be read all the same, but nothing new can be made
// there.
func TestCheckCacheDirNotWritable(t *testing.T) {
	if os.Geteuid() == 0 {
		asPlainUser(t, "TestCheckCacheDirNotWritable")
		return
	}
	dir := realDir(t)
	mnt := mkdir(t, realDir(t), "mnt")
	mkdir(t, dir, "v2")
	chmod(t, dir, 0o500)
	t.Cleanup(func() { chmod(t, dir, 0o700) }) // so that it can be removed
	if err := checkCacheDir(dir, mnt); err != nil {
		t.Errorf("a directory that is only read: %v", err)
	}
	wantError(t, checkCacheDir(filepath.Join(dir, "x"), mnt), "isn't writable", "permission denied", "--cache-dir")
	if _, err := openLog(logPath(dir, mnt)); !isReadOnly(err) {
		t.Errorf("why there is no log: %v", err)
	}
}

// A daemon whose log can't be written mounts all the same, and says so.
func TestDaemonWithoutLog(t *testing.T) {
	if os.Geteuid() == 0 {
		asPlainUser(t, "TestDaemonWithoutLog")
		return
	}
	withoutSettings(t)
	r := daemonRequest(t, "")
	chmod(t, r.cache.Dir, 0o500)
	_, stderr, err := startFake(t.Context(), t, "fails", r)
	wantError(t, err, "no mount, because")
	if !strings.Contains(stderr, "no log is written") {
		t.Errorf("it prints %q", stderr)
	}
}

// What somebody else may change, or has put there, isn't used.
func TestCheckCacheDirOfOthers(t *testing.T) {
	const mnt = "/nowhere"
	tests := map[string]struct {
		prepare func(dir string)
		words   []string
	}{
		"all may write":        {func(dir string) { chmod(t, dir, 0o777) }, []string{"others may write", "0777", "chmod go-w", "--cache-dir"}},
		"sticky":               {func(dir string) { chmod(t, dir, os.ModeSticky|0o777) }, []string{"others may write"}},
		"a version's link":     {func(dir string) { symlink(t, realDir(t), filepath.Join(dir, "v1")) }, []string{"v1", "symbolic link", "remove it"}},
		"the next version's":   {func(dir string) { symlink(t, "log", filepath.Join(dir, "v2")) }, []string{"v2", "symbolic link"}},
		"a version's file":     {func(dir string) { writeFile(t, filepath.Join(dir, "v1"), "") }, []string{"v1", "a file"}},
		"the log's link":       {func(dir string) { symlink(t, realDir(t), filepath.Join(dir, "log")) }, []string{"log", "symbolic link"}},
		"all may write to v1":  {func(dir string) { chmod(t, mkdir(t, dir, "v1"), 0o777) }, []string{"v1", "others may write"}},
		"all may write to log": {func(dir string) { chmod(t, mkdir(t, dir, "log"), 0o702) }, []string{"log", "others may write"}},
	}
	if os.Geteuid() == 0 {
		tests["another's"] = struct {
			prepare func(dir string)
			words   []string
		}{func(dir string) { chown(t, dir, nobody, nobody) }, []string{"another user", "65534", "--cache-dir"}}
		tests["another's version"] = struct {
			prepare func(dir string)
			words   []string
		}{func(dir string) { chown(t, mkdir(t, dir, "v2"), nobody, 0) }, []string{"v2", "another user"}}
		tests["another group may write"] = struct {
			prepare func(dir string)
			words   []string
		}{func(dir string) { chown(t, dir, 0, nobody); chmod(t, dir, 0o770) }, []string{"others may write"}}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := realDir(t)
			test.prepare(dir)
			wantError(t, checkCacheDir(dir, mnt), append(test.words, dir)...)
		})
	}
	dir := realDir(t)
	chmod(t, mkdir(t, dir, "v1"), 0o770) // the group's is the user's own
	mkdir(t, dir, "log")
	symlink(t, "nowhere", filepath.Join(dir, "other"))
	if err := checkCacheDir(dir, mnt); err != nil {
		t.Errorf("a directory of the user's own: %v", err)
	}
	link := filepath.Join(realDir(t), "link")
	symlink(t, dir, link)
	if err := checkCacheDir(link, mnt); err != nil {
		t.Errorf("by a link of the user's own: %v", err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
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
