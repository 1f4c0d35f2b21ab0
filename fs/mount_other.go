//go:build !linux

package fs

import "golang.org/x/sys/unix"

// mountFlags aren't used where only Linux mounts directly.
const mountFlags = 0

// detach unmounts although files are open.
func detach(mountpoint string) error {
	return unix.Unmount(mountpoint, unix.MNT_FORCE)
}
