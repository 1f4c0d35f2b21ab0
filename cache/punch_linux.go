package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch gives back the blocks of a part of a file, which reads as zeros then.
func punch(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n) //nolint:gosec // a file descriptor is small
}
