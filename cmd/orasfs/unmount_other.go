//go:build !linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

// unmount takes a mount of orasfs away. A busy one is an error, unless lazy.
func unmount(_ context.Context, path string, lazy bool) error {
	flags := 0
	if lazy {
		flags = unix.MNT_FORCE
	}
	return unix.Unmount(path, flags)
}
