package cache

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked is that another store has a partial open.
var errLocked = errors.New("in use")

// openStore is what there is of a large blob on disk: the complete blob, or
// the partial of its origin, made if there is none. nil if the disk fails,
// which only the log tells.
func (d *disk) openStore(k Key) *store {
	if s := d.openComplete(k); s != nil {
		return s
	}
	s, err := d.openPartial(k)
	if err != nil {
		d.warn("the cache can't be used for a blob", d.partial(k), err)
		return nil
	}
	return s
}

// openComplete is the complete blob, nil if there is none. One that lacks
// something is removed.
func (d *disk) openComplete(k Key) *store {
	path := d.blob(k.Digest)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() <= SmallBlob {
		return nil
	}
	// The sums have the size the blob had when it was verified: if it is the
	// file's, then it is k's that is wrong.
	s := d.newStore(Key{Digest: k.Digest, Size: info.Size()}, path, sums(path))
	s.complete = true
	err = s.open(os.O_RDWR)
	opened := err == nil
	switch {
	case opened && s.load(info.Size()) > 0 && s.present == s.grid.chunks():
		if info.Size() == k.Size {
			d.touch(path, info)
			return s
		}
	case opened || errors.Is(err, os.ErrNotExist) || errors.Is(err, errIrregular):
		d.counts.wrongOnDisk.Add(1)
		d.log.Warn("a blob on disk lacks its checksums and is removed", "digest", k.Digest, "path", path)
		s.unlink()
	default:
		d.warn("a blob on disk can't be opened", path, err)
	}
	if opened {
		if err := s.close(); err != nil {
			d.warn("a blob on disk can't be closed", path, err)
		}
	}
	return nil
}

// openPartial opens the partial of k, or one of its own if another process, or
// another cache, has that one open.
func (d *disk) openPartial(k Key) (*store, error) {
	path := d.partial(k)
	s := d.newStore(k, path+".data", path+".journal")
	err := s.openLocked()
	if errors.Is(err, errLocked) {
		path += "." + rand.Text()
		s = d.newStore(k, path+".data", path+".journal")
		s.private = true
		err = s.openLocked()
	}
	if err != nil {
		return nil, err
	}
	info, err := s.data.Stat()
	if err == nil {
		s.end = s.load(info.Size())
		if s.end == 0 {
			err = s.clear()
		} else {
			err = s.journal.Truncate(s.end)
			d.touch(s.dataPath, info)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.data.Close(), s.journal.Close())
	}
	return s, nil
}

func (d *disk) newStore(k Key, dataPath, journalPath string) *store {
	return &store{
		disk:      d,
		key:       k,
		grid:      grid{k.Size},
		header:    journalHeader(k.Digest, k.Size),
		dataPath:  dataPath,
		journPath: journalPath,
	}
}

// errIrregular is that something else than a file has a file's name.
var errIrregular = errors.New("not a regular file")

// openRegular opens a file, and neither follows a link nor waits for the other
// end of a pipe.
func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600) //nolint:gosec // the path is the cache's own
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errIrregular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// open opens both files, the journal first unless it is open.
func (s *store) open(flag int) (err error) {
	if s.journal == nil {
		if s.journal, err = openRegular(s.journPath, flag); err != nil {
			return err
		}
	}
	if s.data, err = openRegular(s.dataPath, flag); err != nil {
		return errors.Join(err, s.journal.Close())
	}
	return nil
}

// openLocked locks the journal and then opens the data, and makes them if they
// aren't there. A journal that was removed or renamed between its opening and
// its locking isn't the partial's any more: then it is done again.
func (s *store) openLocked() error {
	for range 10 {
		f, err := openRegular(s.journPath, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		same, err := lock(f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if same {
			s.journal = f
			return s.open(os.O_RDWR | os.O_CREATE)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: removed each time it was made", s.journPath)
}

// lock locks f, without waiting, until it is closed. It says whether f is
// still the file of its name. The error is errLocked if another has the lock.
func lock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a file descriptor is small
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, errLocked
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(f.Name())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, named), err
}

// load reads the journal of a data file of the given size; see readJournal for
// what it returns.
func (s *store) load(size int64) int64 {
	return readJournal(bufio.NewReader(s.journal), s.header, s.grid.chunks(), func(i int, crc uint32) {
		if s.grid.offset(i+1) > size {
			return
		}
		c := s.cells.at(i)
		if !c.present {
			s.present++
		}
		*c = cell{crc: crc, present: true}
	})
}

// clear begins an empty partial.
func (s *store) clear() error {
	if err := errors.Join(s.data.Truncate(0), s.journal.Truncate(0)); err != nil {
		return err
	}
	if _, err := s.journal.WriteAt(s.header, 0); err != nil {
		return err
	}
	s.end = int64(len(s.header))
	return nil
}
