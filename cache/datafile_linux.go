package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch gives back the blocks of a part of a file, which reads as zeros then.
func punch(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n) //nolint:gosec // a file descriptor is small
}

// writeBack has the kernel begin to write a part of a file to the disk, so that little is
// left for who waits for all of it in the end.
func writeBack(f *os.File, off, n int64) {
	// Where it can't, all of that is left.
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE) //nolint:gosec // a file descriptor is small
}
