package cache

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// usage is how many bytes a cache directory takes: a number in a file that every
// process which uses the directory has mapped, so that all of them keep the bound
// together. What a process that was killed had reserved stays in it until the
// directory is looked through.
type usage struct {
	shared []byte // the mapped file, for as long as the process lives; nil where it can't be, then own counts
	own    atomic.Int64
}

// usageSize is that of the file: the number, and another that says that it means
// something.
const (
	usageSize  = 16
	usageKnown = 0x6f726173_75736564 // "orasused"
)

// openUsage maps the file at path, made if there is none.
func openUsage(path string) *usage {
	u := new(usage)
	f, err := openRegular(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return u
	}
	defer f.Close() //nolint:errcheck // the mapping stays
	if info, err := f.Stat(); err != nil || info.Size() < usageSize && f.Truncate(usageSize) != nil {
		return u
	}
	shared, err := unix.Mmap(int(f.Fd()), 0, usageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED) //nolint:gosec // a file descriptor is small
	if err != nil {
		return u
	}
	u.shared = shared
	return u
}

// count is the number, and counted says that it means something: a page is aligned
// to both.
func (u *usage) count() *int64 {
	return (*int64)(unsafe.Pointer(&u.shared[0])) //nolint:gosec // 8 bytes of a mapped page
}

func (u *usage) counted() *uint64 {
	return (*uint64)(unsafe.Pointer(&u.shared[8])) //nolint:gosec // likewise
}

func (u *usage) add(n int64) int64 {
	if u.shared == nil {
		return u.own.Add(n)
	}
	return atomic.AddInt64(u.count(), n)
}

func (u *usage) now() int64 { return u.add(0) }

// known tells whether somebody has counted what is there.
func (u *usage) known() bool {
	return u.shared != nil && atomic.LoadUint64(u.counted()) == usageKnown
}

// correct takes the difference to what was found.
func (u *usage) correct(by int64) {
	u.add(by)
	if u.shared != nil {
		atomic.StoreUint64(u.counted(), usageKnown)
	}
}
