package cache

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// A claim is a lock of the byte with a chunk's number in the sums, which ends with
// the process that has it, at the latest: nobody reads or writes by it, see
// F_OFD_SETLK in fcntl(2).

// claim claims chunks, all of them or none; false if another process has one.
// What is claimed already stays so. Where a file system has no locks, all fetch for
// themselves.
func (s *store) claim(first, last int) bool { return s.setClaim(unix.F_WRLCK, first, last) }

func (s *store) unclaim(first, last int) { s.setClaim(unix.F_UNLCK, first, last) }

func (s *store) setClaim(kind int16, first, last int) bool {
	l := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: int64(first), Len: int64(last - first + 1)}
	if first > last {
		return true
	}
	err := unix.FcntlFlock(s.sums.Fd(), unix.F_OFD_SETLK, &l)
	return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES)
}

// claimed is the first of some chunks that another process has claimed, as far as
// the kernel tells; more than last if there is none.
func (s *store) claimed(first, last int) int {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(first), Len: int64(last - first + 1)}
	if unix.FcntlFlock(s.sums.Fd(), unix.F_OFD_GETLK, &l) != nil || l.Type == unix.F_UNLCK {
		return last + 1
	}
	return max(first, int(l.Start))
}

// presence is the byte, beyond that of any chunk, of which all who have a store open
// hold a shared lock.
const presence = 1 << 40

// join makes the caller present. It waits while somebody changes what is there.
// Where a file system has no locks, nobody does: alone.
func (s *store) join() {
	for errors.Is(s.setPresence(unix.F_OFD_SETLKW, unix.F_RDLCK), unix.EINTR) {
	}
}

// alone keeps all others from opening the store until release; false if one has it
// open. s.mu is held: the lock doesn't tell who of this process has it.
func (s *store) alone() (release func(), ok bool) {
	if s.setPresence(unix.F_OFD_SETLK, unix.F_WRLCK) != nil {
		return nil, false
	}
	return func() { _ = s.setPresence(unix.F_OFD_SETLK, unix.F_RDLCK) }, true // to less than it has
}

func (s *store) setPresence(how int, kind int16) error {
	return unix.FcntlFlock(s.sums.Fd(), how, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: presence, Len: 1})
}
