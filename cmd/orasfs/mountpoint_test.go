package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// realDir is a temporary directory without symbolic links in its path.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// mkdir makes a directory and gives its path.
func mkdir(t *testing.T, elements ...string) string {
	t.Helper()
	dir := filepath.Join(elements...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestResolveMountpoint(t *testing.T) {
	dir := realDir(t)
	mnt := mkdir(t, dir, "real", "mnt")
	symlink(t, "real", filepath.Join(dir, "link"))
	symlink(t, "link/mnt", filepath.Join(dir, "mnt"))
	t.Chdir(dir)
	for _, path := range []string{mnt, "real/mnt", "./real/../real/mnt/", "link/mnt", "mnt", filepath.Join(dir, "mnt")} {
		got, err := resolveMountpoint(path)
		if err != nil || got != mnt {
			t.Errorf("%s is %s, %v; expected %s", path, got, err, mnt)
		}
	}
	_, err := resolveMountpoint("none")
	wantError(t, err, "mountpoint none", "doesn't exist", "mkdir")
}

func TestCheckMountpoint(t *testing.T) {
	dir := realDir(t)
	file := filepath.Join(dir, "file")
	writeFile(t, file, "")
	empty := mkdir(t, dir, "empty")

	if err := checkMountpoint(t.Context(), empty, "r.example"); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	wantError(t, checkMountpoint(t.Context(), file, "r.example"), file, "is not a directory")
	wantError(t, checkMountpoint(t.Context(), dir, "r.example"), dir, "is not empty")
}

// A directory that isn't ours to write in is one that fusermount3 refuses.
func TestCheckMountpointOfAnother(t *testing.T) {
	if os.Geteuid() == 0 {
		asPlainUser(t, "TestCheckMountpointOfAnother")
		return
	}
	wantError(t, checkMountpoint(t.Context(), "/var/empty-for-orasfs", "r.example"), "/var/empty-for-orasfs")
	dir := realDir(t)
	if err := os.Chmod(dir, 0o500); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	wantError(t, checkMountpoint(t.Context(), dir, "r.example"), dir, "isn't writable for you")
}

func TestMountAt(t *testing.T) {
	mount, err := mountAt("/proc")
	if err != nil {
		t.Fatal(err)
	}
	if mount == nil || mount.FSType != "proc" {
		t.Skipf("no proc at /proc but %+v", mount)
	}
	if mount, err := mountAt(realDir(t)); mount != nil || err != nil {
		t.Errorf("mounted on a directory: %+v, %v", mount, err)
	}
}

func TestCause(t *testing.T) {
	_, err := os.Stat("/none")
	if got := cause(err).Error(); got != syscall.ENOENT.Error() {
		t.Errorf("cause of %v is %v", err, got)
	}
}
