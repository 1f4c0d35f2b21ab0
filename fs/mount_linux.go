package fs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// mountFlags are those of mount(2): the same as the options given to
// fusermount3, but for root, who mounts without it.
const mountFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV

// detach unmounts lazily: the mount is gone at once, and its files when they
// are closed.
func detach(mountpoint string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(mountpoint, unix.MNT_DETACH)
	}
	out, err := exec.Command("fusermount3", "-uz", mountpoint).CombinedOutput() //nolint:gosec,noctx // our own mountpoint
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
