package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// deadWithin is what a mount gets to say whether its daemon is there. One that hangs
// says nothing.
const deadWithin = 2 * time.Second

// errSilent is that a mount doesn't answer.
var errSilent = errors.New("it doesn't answer")

// statMount asks a mount, for deadWithin at most. It is never this process's own.
func statMount(dir string) error {
	answer := make(chan error, 1)
	go func() { // it may never be answered
		var st unix.Statfs_t // which the kernel never answers by itself, as it does stat(2)
		answer <- unix.Statfs(dir, &st)
	}()
	select {
	case err := <-answer:
		return err
	case <-time.After(deadWithin):
		return errSilent
	}
}

// isDead tells whether what a mount answers is that its daemon has died.
func isDead(err error) bool { return errors.Is(err, syscall.ENOTCONN) }

// clearDead takes a mount of orasfs away whose daemon has died (its names say "transport
// endpoint is not connected"), so that another can come to its place. What is alive,
// or may be, is an error.
func clearDead(ctx context.Context, mount *mountinfo.Info, target string) error {
	dir := mount.Mountpoint
	switch err := statMount(dir); {
	case errors.Is(err, errSilent):
		return fmt.Errorf("mountpoint %s is a mount of orasfs (%s) that doesn't answer: run orasfs umount --lazy %s, or choose another", dir, mount.Source, dir)
	case isDead(err):
	case mount.Source == target:
		return fmt.Errorf("%s is mounted at %s already", target, dir)
	default:
		return fmt.Errorf("mountpoint %s is already a mount of orasfs, of %s: run orasfs umount %s, or choose another", dir, mount.Source, dir)
	}
	ctx, cancel := context.WithTimeout(ctx, umountPatience)
	defer cancel()
	if err := unmount(ctx, dir, true); err != nil {
		return fmt.Errorf("mountpoint %s is a dead mount: run umount %s first: %w", dir, dir, err)
	}
	return awaitUnmounted(ctx, mount)
}
