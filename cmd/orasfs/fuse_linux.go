package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	fuseDevice = "/dev/fuse"
	fuseConfig = "/etc/fuse.conf"
)

// checkFUSE finds what keeps this user from mounting on this machine.
func checkFUSE(allowOther bool) error {
	if err := checkFUSEDevice(fuseDevice); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return err
	}
	if allowOther && !isAllowOtherPermitted(fuseConfig) {
		return fmt.Errorf("-o allow_other is for root only here: add a line user_allow_other to %s, or omit it", fuseConfig)
	}
	return nil
}

func checkFUSEDevice(path string) error {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		return device.Close()
	case errors.Is(err, iofs.ErrNotExist):
		return fmt.Errorf("no %s: load the kernel's module with modprobe fuse, or start the container with --device %s", path, path)
	default:
		return fmt.Errorf("%s can't be opened (%w): make it readable and writable for you, or start the container with --device %s", path, cause(err), path)
	}
}

// fusermount is the program through which a user who isn't root mounts and
// unmounts.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no fusermount3, which a user who isn't root needs: install fuse3")
}

// isAllowOtherPermitted tells whether fuse.conf lets everybody use allow_other
// (mount.fuse3(8)). Not being able to read it is fusermount3's concern.
func isAllowOtherPermitted(config string) bool {
	content, err := os.ReadFile(config)
	if err != nil {
		return !errors.Is(err, iofs.ErrNotExist)
	}
	for line := range strings.Lines(string(content)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// isFUSE tells whether what statfs(2) describes is a FUSE mount.
func isFUSE(st *unix.Statfs_t) bool { return st.Type == unix.FUSE_SUPER_MAGIC }
