package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// unmount takes a mount of orasfs away. A busy one is an error, unless lazy:
// then it is detached at once, and gone when its last file is closed.
func unmount(ctx context.Context, path string, lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(path, flags)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	binary, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", "--", path}
	if lazy {
		args = []string{"-u", "-z", "--", path}
	}
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // fusermount3, for a mount of orasfs
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	output, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	// It has no exit code of its own for this, only the C library's words.
	case bytes.Contains(output, []byte("Device or resource busy")):
		return unix.EBUSY
	default:
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(output))
	}
}
