package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountFlags are those of mount(2): the same as the options given to
// fusermount3, but for root, who mounts without it.
const mountFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV

// An attachment is the place of one mount in the tree of files: its own line in
// the kernel's table of mounts. Others may mount on the same place, before and
// after.
type attachment struct {
	path         string
	id           int
	major, minor int // its device
}

// attach finds the mount that this process has just made at a path, with a
// connection that no program which it starts may inherit: one that outlived the
// daemon would keep the mount waiting for answers. It doesn't look at the mount
// itself, which nobody serves yet.
func attach(path string) (*attachment, error) {
	connections, err := ownConnections()
	if err != nil {
		return nil, err
	}
	mounts, err := mountsAt(path)
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Backward(mounts) {
		// A kernel before 6.16 doesn't tell: then it is the topmost.
		if len(connections) == 0 || slices.Contains(connections, m.Minor) {
			return &attachment{path: path, id: m.ID, major: m.Major, minor: m.Minor}, nil
		}
	}
	return nil, errors.New("it isn't in the table of mounts")
}

// ownConnections are the minor numbers of the devices that this process serves.
// It sees to it that no other process gets to hold them open: go-fuse doesn't
// where it mounts directly.
func ownConnections() ([]int, error) {
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if err != nil {
		return nil, err
	}
	var minors []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		// An error is a file that was closed since, as that of the directory.
		if target, err := os.Readlink(filepath.Join(open, e.Name())); err != nil || target != "/dev/fuse" {
			continue
		}
		unix.CloseOnExec(fd)
		info, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", e.Name()))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(info)) {
			number, ok := strings.CutPrefix(line, "fuse_connection:")
			if minor, err := strconv.Atoi(strings.TrimSpace(number)); ok && err == nil {
				minors = append(minors, minor)
			}
		}
	}
	return minors, nil
}

// mountsAt are the mounts at a path, the topmost last.
func mountsAt(path string) ([]*mountinfo.Info, error) {
	return mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
}

func (a *attachment) is(m *mountinfo.Info) bool {
	return m.ID == a.id && m.Major == a.major && m.Minor == a.minor
}

// errCovered is why a mount can't be taken away: by its path one would take
// another.
var errCovered = errors.New("another mount covers it: unmount that first")

// there tells whether the mount is still attached; errCovered that it is, below
// another.
func (a *attachment) there() (bool, error) {
	mounts, err := mountsAt(a.path)
	switch {
	case err != nil:
		return true, err
	case !slices.ContainsFunc(mounts, a.is):
		return false, nil
	case !a.is(mounts[len(mounts)-1]):
		return true, errCovered
	}
	return true, nil
}

// detach unmounts lazily: the mount is gone at once, and its files when they
// are closed. It takes no mount away but this one.
func (a *attachment) detach() error {
	if there, err := a.there(); err != nil || !there {
		return err
	}
	if os.Geteuid() == 0 {
		return unix.Unmount(a.path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	out, err := exec.Command("fusermount3", "-uz", a.path).CombinedOutput() //nolint:gosec,noctx // our own mountpoint
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ready waits for nothing: go-fuse has answered the kernel's first request.
// What its WaitMount does on top, to open a file of the mount from here, must
// not be: a daemon that is killed meanwhile never ends, because it waits for
// itself, and neither does anybody who looks at the mountpoint.
func ready(func() error) error { return nil }
