package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// This file is how a large blob's directory is found and opened. What is open
// is never another one than what is in that place: whoever moves it, or removes
// it, between two calls is found out.

// maxOpening is how often a directory that is moved meanwhile is opened again.
const maxOpening = 10

// open is what there is of a large blob on disk: the complete blob, or the
// partial one of its origin, made if there is none. nil if the disk fails, which
// only the log tells.
func (d *disk) open(k Key) (s *store, complete bool) {
	for try := range maxOpening {
		if try > 0 { // somebody is at it
			time.Sleep(time.Duration(try) * time.Millisecond)
		}
		s, err := d.openAt(d.blob(k.Digest), k, os.O_RDWR)
		if s != nil {
			s.touch()
			return s, true
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			d.failed("a blob on disk can't be opened", d.blob(k.Digest), err)
			return nil, false
		}
		s, err = d.openPartial(k)
		switch {
		case s != nil:
			return s, false
		case errors.Is(err, errReadOnly):
			return nil, false
		case err != nil && !errors.Is(err, os.ErrNotExist):
			d.failed("the cache can't be used for a blob", d.partial(k), err)
			return nil, false
		}
	}
	return nil, false
}

// sizeOf is the size of a large blob that is there whole.
func (d *disk) sizeOf(dg digest.Digest) (int64, bool) {
	sums, err := openRegular(filepath.Join(d.blob(dg), sumsName), os.O_RDONLY)
	if err != nil {
		return 0, false
	}
	defer sums.Close() //nolint:errcheck // it was only read
	header := make([]byte, headerSize)
	if _, err := sums.ReadAt(header, 0); err != nil {
		return 0, false
	}
	size, ok := sizeInHeader(header, dg)
	info, err := os.Lstat(filepath.Join(d.blob(dg), dataName))
	return size, ok && err == nil && info.Mode().IsRegular() && info.Size() == size
}

// openAt opens the complete blob at path; nil if there is none of that size. One
// that isn't whole is removed.
func (d *disk) openAt(path string, k Key, flag int) (*store, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil, err
	}
	s := d.newStore(path, k)
	s.writable = true
	if err = s.openFiles(flag); errors.Is(err, unix.EROFS) || errors.Is(err, os.ErrPermission) {
		s.writable = false
		err = s.openFiles(os.O_RDONLY)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errIrregular) {
		if info, moved := os.Lstat(path); moved == nil && info.IsDir() {
			d.damaged(path)
		}
		return nil, os.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	if _, err := s.sums.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		s.close()
		return nil, err
	}
	size, ok := sizeInHeader(header, k.Digest)
	info, err = s.data.Stat()
	s.join()
	switch {
	case err != nil:
	case !ok || info.Size() != size:
		d.damaged(path)
	case size == k.Size && s.isAt(path):
		return s, nil
	}
	s.close()
	return nil, err
}

// openPartial opens the partial of k. nil without an error is that it was moved
// meanwhile.
func (d *disk) openPartial(k Key) (*store, error) {
	path := d.partial(k)
	s := d.newStore(path, k)
	flag := os.O_RDWR | os.O_CREATE
	if d.mayWrite() {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	} else {
		flag = os.O_RDONLY
	}
	if err := s.openFiles(flag); err != nil {
		if flag == os.O_RDONLY {
			return nil, errReadOnly // there is nothing of it, or it is to be let alone
		}
		if errors.Is(err, errIrregular) {
			d.damaged(path)
		}
		return nil, err
	}
	s.writable = flag != os.O_RDONLY
	ok, err := s.headed(k)
	switch {
	case err == nil && !ok && s.writable:
		err = s.begin(k)
	case err == nil && !ok:
		err = errReadOnly
	}
	if err == nil {
		s.join()
		ok, err = s.headed(k)
	}
	if err != nil || !ok || !s.isAt(path) { // it was finished meanwhile, or thrown away
		s.close()
		return nil, err
	}
	s.touch()
	return s, nil
}

// begin clears a partial without a valid header, unless another process does. One
// that others have open had a header: it is damaged, and left to them.
func (s *store) begin(k Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	release, err := s.claimAll()
	if err != nil {
		return err
	}
	defer release()
	if ok, err := s.headed(k); ok || err != nil {
		return err
	}
	present, ok := s.alone()
	if !ok {
		s.disk.damaged(s.path)
		return os.ErrNotExist
	}
	defer present()
	s.fresh = true
	return s.clear(k)
}

// headed tells whether the sums have the header of k.
func (s *store) headed(k Key) (bool, error) {
	header := make([]byte, headerSize)
	if _, err := s.sums.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err // which says nothing of what is there
	}
	size, ok := sizeInHeader(header, k.Digest)
	return ok && size == k.Size, nil
}

// clear begins an empty partial. The data has its size from the start, so that
// a read never is beyond its end.
func (s *store) clear(k Key) error {
	err := errors.Join(s.sums.Truncate(0), s.data.Truncate(0), s.data.Truncate(k.Size))
	if err == nil {
		_, err = s.sums.WriteAt(sumsHeader(k.Digest, k.Size), 0)
	}
	return err
}

func (d *disk) newStore(path string, k Key) *store {
	header := sumsHeader(k.Digest, k.Size)
	return &store{disk: d, grid: grid{k.Size}, digest: k.Digest, seed: header[headerSize-4:], path: path}
}

// openFiles opens both files and locks the sums, so that they aren't evicted.
func (s *store) openFiles(flag int) (err error) {
	if s.sums, err = openRegular(filepath.Join(s.path, sumsName), flag); err != nil {
		return err
	}
	if s.data, err = openRegular(filepath.Join(s.path, dataName), flag); err != nil {
		return errors.Join(err, s.sums.Close())
	}
	if err := lock(s.sums, unix.LOCK_SH); err != nil { // it is just being evicted
		return errors.Join(os.ErrNotExist, s.data.Close(), s.sums.Close())
	}
	return nil
}

// errIrregular is that something else than a file has a file's name.
var errIrregular = errors.New("not a regular file")

// openRegular opens a file, and neither follows a link nor waits for the other
// end of a pipe.
func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600) //nolint:gosec // the path is the cache's own
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("%s: %w", path, errIrregular)
	}
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
