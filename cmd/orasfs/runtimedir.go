package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Daemons and whoever asks them meet in a directory of the user's own: nobody else can
// put a socket there, or reach one.

// machineRoot is what the directories that all daemons share are below; tests have one of
// their own.
var machineRoot = "/"

// runtimeDirs are where a daemon's socket may be, the best first.
func runtimeDirs() []string {
	var dirs []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "orasfs"))
	}
	if os.Geteuid() == 0 {
		dirs = append(dirs, filepath.Join(machineRoot, "run/orasfs"))
	}
	return append(dirs, filepath.Join(os.TempDir(), "orasfs-"+strconv.Itoa(os.Geteuid())))
}

// allRuntimeDirs are those, and where they are for a daemon that was started in another
// environment: by a service, or in a login.
func allRuntimeDirs() []string {
	id := strconv.Itoa(os.Geteuid())
	var dirs []string
	for _, dir := range append(runtimeDirs(), filepath.Join(machineRoot, "run/user", id, "orasfs"), filepath.Join(machineRoot, "tmp", "orasfs-"+id)) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// makeRuntimeDir is the first of runtimeDirs that is there or can be made, and is the
// user's own.
func makeRuntimeDir() (string, error) {
	var failed []error
	for _, dir := range runtimeDirs() {
		err := os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, os.ErrExist) {
			err = checkRuntimeDir(dir)
		}
		if err == nil {
			return dir, nil
		}
		failed = append(failed, err)
	}
	return "", errors.Join(failed...)
}

// checkRuntimeDir finds who else can use a directory. One that isn't there is
// os.ErrNotExist.
func checkRuntimeDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode(); {
	case !info.IsDir():
		return fmt.Errorf("%s is %s and not a directory", dir, kindOf(info))
	case ok && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (%d)", dir, stat.Uid)
	case mode.Perm()&0o077 != 0:
		return fmt.Errorf("others may use %s (mode %04o): run chmod 700 %s", dir, mode.Perm(), dir)
	}
	return nil
}
