package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// hangingMount mounts a file system of our type that nobody serves: every
// question to it waits. kill makes it a dead mount.
func hangingMount(t *testing.T, dir string) (kill func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount without fusermount3")
	}
	device, err := unix.Open(fuseDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("%s: %v", fuseDevice, err)
	}
	kill = func() {
		if device >= 0 {
			_ = unix.Close(device) // nothing to flush
			device = -1
		}
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)
	if err := unix.Mount("localhost:5000", dir, fsType, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		kill()
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		kill()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
	})
	return kill
}

func isMounted(t *testing.T, dir string) bool {
	t.Helper()
	mount, err := mountAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return mount != nil
}

// One that hangs may be alive and stays; a dead one makes room.
func TestMountedMountpoint(t *testing.T) {
	mnt := mkdir(t, realDir(t), "mnt")
	kill := hangingMount(t, mnt)
	dir, err := resolveMountpoint(mnt)
	if err != nil || dir != mnt {
		t.Fatalf("resolved to %s, %v", dir, err)
	}
	wantError(t, checkMountpoint(t.Context(), dir, "r.example/app"), mnt, "doesn't answer", "orasfs umount --lazy "+mnt)
	kill()
	if dir, err = resolveMountpoint(mnt); err != nil || dir != mnt {
		t.Fatalf("resolved to %s, %v", dir, err)
	}
	if err := checkMountpoint(t.Context(), dir, "r.example/app"); err != nil || isMounted(t, dir) {
		t.Errorf("a dead mount: %v, it is there: %t", err, isMounted(t, dir))
	}
}

func TestUmount(t *testing.T) {
	for _, state := range []string{"hanging", "dead"} {
		for _, lazy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, lazy %t", state, lazy), func(t *testing.T) {
				mnt := mkdir(t, realDir(t), "mnt")
				kill := hangingMount(t, mnt)
				if state == "dead" {
					kill()
				}
				if err := umount(t.Context(), mnt, lazy); err != nil {
					t.Fatal(err)
				}
				if isMounted(t, mnt) {
					t.Error("it is still mounted")
				}
			})
		}
	}
}

func TestUmountThroughLink(t *testing.T) {
	dir := realDir(t)
	mnt := mkdir(t, dir, "mnt")
	symlink(t, "mnt", filepath.Join(dir, "link"))
	hangingMount(t, mnt)() // dead
	t.Chdir(dir)
	if err := umount(t.Context(), "link", false); err != nil {
		t.Fatal(err)
	}
	if isMounted(t, mnt) {
		t.Error("it is still mounted")
	}
}

func TestUmountBusy(t *testing.T) {
	mnt := mkdir(t, realDir(t), "mnt")
	hangingMount(t, mnt)
	// Opening a path only asks the file system nothing.
	user, err := unix.Open(mnt, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(user) //nolint:errcheck // nothing to flush
	wantError(t, umount(t.Context(), mnt, false), mnt, "busy", "--lazy")
	if !isMounted(t, mnt) {
		t.Fatal("it has been unmounted although it is busy")
	}
	if err := umount(t.Context(), mnt, true); err != nil {
		t.Fatal(err)
	}
	if isMounted(t, mnt) {
		t.Error("it is still mounted")
	}
}

func TestUmountNothing(t *testing.T) {
	dir := realDir(t)
	wantError(t, umount(t.Context(), dir, false), dir, "not a mountpoint")
	wantError(t, umount(t.Context(), filepath.Join(dir, "none"), false), "none", "doesn't exist")
}

// The mount is one of the test's own: were umount broken, any other would be
// one that somebody needs.
func TestUmountOfAnotherType(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := mkdir(t, realDir(t), "mnt")
	if err := unix.Mount("theirs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
	})
	for _, lazy := range []bool{false, true} {
		wantError(t, umount(t.Context(), dir, lazy), dir, "tmpfs (theirs)", "not of orasfs")
		if !isMounted(t, dir) {
			t.Fatal("it has been unmounted")
		}
	}
}

func TestCompleteMountpoints(t *testing.T) {
	mnt := mkdir(t, realDir(t), "mnt")
	hangingMount(t, mnt)
	points, _ := completeMountpoints(nil, nil, "")
	for _, p := range points {
		if p == mnt {
			return
		}
	}
	t.Errorf("%s isn't among %q", mnt, points)
}

// A mount that is gone isn't waited for because another has its number by now.
func TestAwaitUnmountedOfAnother(t *testing.T) {
	root := realDir(t)
	mnt := mkdir(t, root, "mnt")
	hangingMount(t, mnt)
	other, err := mountAt(mnt)
	if err != nil || other == nil {
		t.Fatalf("no mount: %v", err)
	}
	gone := *other
	gone.Mountpoint = filepath.Join(root, "gone")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitUnmounted(ctx, &gone); err != nil {
		t.Error(err)
	}
	if err := awaitUnmounted(ctx, other); err == nil {
		t.Error("what is still mounted is taken for gone")
	}
}
