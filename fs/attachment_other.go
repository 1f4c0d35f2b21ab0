//go:build !linux

package fs

import (
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountFlags aren't used where only Linux mounts directly.
const mountFlags = 0

// An attachment is the place of a mount in the tree of files.
type attachment struct{ path string }

func attach(path string) (*attachment, error) { return &attachment{path}, nil }

// there tells whether something is mounted there.
func (a *attachment) there() (bool, error) {
	return mountinfo.Mounted(a.path)
}

// widen is for Linux.
func (a *attachment) widen() error { return nil }

// detach unmounts although files are open.
func (a *attachment) detach() error { return unix.Unmount(a.path, unix.MNT_FORCE) }

// ready waits for the mount, which another program makes.
func ready(wait func() error) error { return wait() }

// mayPassthrough: only Linux can.
func mayPassthrough() bool { return false }
