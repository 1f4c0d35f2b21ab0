package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A store is a large blob on disk: a directory with the files data, which has
// holes while it isn't complete, and sums. It is plain input and output: what is
// to be believed of it the table knows.
//
// As long as a store is open, its sums are locked (shared), so that nobody evicts
// it. Several processes may have one open and write to it, each those chunks that
// it has claimed (see share.go).
//
// What is there stays as it is for whoever has the store open: a chunk is replaced
// or removed only by one who has it alone, and nothing is written to a complete
// blob. Each process knows of a chunk what it saw when it came there, and the blob
// may have been verified with that.
type store struct {
	disk     *disk
	grid     grid
	digest   digest.Digest
	seed     []byte // the checksum of the header of its sums
	data     *os.File
	sums     *os.File
	writable bool
	fresh    bool // it was empty when it was opened

	wrote   atomic.Bool
	touched atomic.Int64 // when its use was noted last, in Unix seconds

	mu   sync.Mutex // guards path, which changes when the directory is moved
	path string
}

const (
	dataName = "data"
	sumsName = "sums"
)

// look tells which of n chunks from first on are there.
func (s *store) look(first, n int) ([]bool, error) {
	have := make([]bool, n)
	raw, err := readSlots(s.sums, first, n)
	if err != nil {
		return have, err
	}
	for k := range have {
		have[k] = (*slot)(raw[k*slotSize:]).holds(s.seed, first+k)
	}
	return have, nil
}

// read fills p with the bytes of chunk i from an offset on. It reads whole
// blocks, and compares them with their checksums: errDamaged. errGone is that there
// is no such chunk.
func (s *store) read(i int, p []byte, at int64) error {
	s.touch()
	raw, err := readSlots(s.sums, i, 1)
	if err != nil {
		return err
	}
	slot := (*slot)(raw)
	switch {
	case slot.empty():
		return errGone
	case !slot.holds(s.seed, i):
		return errDamaged
	}
	first := at / blockSize
	end := min((at+int64(len(p))+blockSize-1)/blockSize*blockSize, int64(s.grid.length(i)))
	blocks := p
	if first*blockSize != at || end-at != int64(len(p)) {
		blocks = make([]byte, end-first*blockSize)
	}
	_, err = s.data.ReadAt(blocks, s.grid.offset(i)+first*blockSize)
	switch {
	case errors.Is(err, io.EOF): // it is shorter than it was
		return errDamaged
	case err != nil:
		return err
	case !slot.matches(int(first), blocks):
		if now, err := readSlots(s.sums, i, 1); err == nil && !bytes.Equal(now, raw) {
			return errGone // it was removed meanwhile
		}
		return errDamaged
	}
	if len(blocks) != len(p) {
		copy(p, blocks[at-first*blockSize:])
	}
	return nil
}

// write puts chunk i on disk, and then says so in its slot. One that is there
// stays, unless it is another. The caller ends the claim. The error is errNoRoom if
// it doesn't fit, errClaimed if another process is at it or has what is there, and
// otherwise the disk's, which is logged.
func (s *store) write(i int, data []byte) error {
	if !s.claim(i, i) {
		return errClaimed
	}
	there, same := s.is(i, data)
	if same {
		return nil
	}
	release, ok := s.toChange(there)
	if !ok {
		return errClaimed
	}
	defer release()
	size := onDiskSize(len(data)) + slotSize
	if err := s.disk.reserve(size); err != nil {
		return err
	}
	s.wrote.Store(true)
	_, err := s.data.WriteAt(data, s.grid.offset(i))
	if err == nil {
		_, err = s.sums.WriteAt(newSlot(s.seed, i, data)[:], slotOffset(i))
	}
	s.disk.settle(size, err)
	if err == nil {
		writeBack(s.data, s.grid.offset(i), int64(len(data)))
	}
	return err
}

// toChange keeps the store as it is for writing to it, until release; false if this
// mustn't be done. With there it replaces something.
func (s *store) toChange(there bool) (release func(), ok bool) {
	s.mu.Lock()
	if !s.isPartial() {
		s.mu.Unlock()
		return nil, false
	}
	if !there {
		s.mu.Unlock()
		return func() {}, true // it stays a partial while it lacks a claimed chunk
	}
	present, ok := s.alone()
	if !ok {
		s.mu.Unlock()
		return nil, false
	}
	return func() { present(); s.mu.Unlock() }, true
}

// errClaimed is that another process has claimed a chunk, or has what is there open.
var errClaimed = errors.New("another process is at it")

// is tells whether there is a chunk i, and whether it has these bytes.
func (s *store) is(i int, data []byte) (there, same bool) {
	raw, err := readSlots(s.sums, i, 1)
	if err != nil || !(*slot)(raw).holds(s.seed, i) {
		return err != nil, false
	}
	had := make([]byte, len(data))
	return true, s.read(i, had, 0) == nil && bytes.Equal(had, data)
}

// isPartial tells whether it is a partial blob, and in its place. s.mu is held.
func (s *store) isPartial() bool {
	return s.path != s.disk.blob(s.digest) && s.isAt(s.path)
}

// drop removes chunk i, unless the blob is complete, or another process has it open:
// first its slot, then its bytes. false is that it stays.
func (s *store) drop(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.claim(i, i) {
		return false
	}
	defer s.unclaim(i, i)
	if !s.isPartial() {
		return false
	}
	release, ok := s.alone()
	if !ok {
		return false
	}
	defer release()
	raw, err := readSlots(s.sums, i, 1)
	if err == nil && (*slot)(raw).empty() {
		return true
	}
	var none slot
	if err == nil {
		_, err = s.sums.WriteAt(none[:], slotOffset(i))
	}
	if err == nil {
		err = punch(s.data, s.grid.offset(i), int64(s.grid.length(i)))
	}
	if err != nil {
		s.disk.failed("a chunk can't be removed", s.path, err)
		return false
	}
	s.disk.usage.add(-onDiskSize(s.grid.length(i)) - slotSize)
	return true
}

// lose is told that chunk i isn't as it was written. A complete blob is the
// partial of k's origin from now on, unless others have it open.
func (s *store) lose(i int, k Key) {
	s.disk.counts.wrongOnDisk.Add(1)
	s.disk.log.Warn("a blob on disk is damaged; what is wrong is fetched again", "digest", s.digest, "chunk", i, "path", s.name())
	if err := s.demote(s.disk.partial(k)); err != nil {
		s.disk.log.Debug("a damaged blob stays where it is", "path", s.name(), "error", err)
		return
	}
	s.drop(i)
}

// demote moves the directory of a complete blob to where partial ones are, if it
// isn't there. The error is that this can't be done: another process has it open,
// say.
func (s *store) demote(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != s.disk.blob(s.digest) {
		return nil
	}
	if !s.writable || !s.disk.mayWrite() {
		return errReadOnly
	}
	release, err := s.claimAll()
	if err != nil {
		return err
	}
	defer release()
	if !s.isAt(s.path) {
		return os.ErrNotExist
	}
	present, ok := s.alone()
	if !ok {
		return errClaimed
	}
	defer present()
	if err := os.Rename(s.path, path); err != nil {
		s.disk.throwAway(s.path)
		return err
	}
	s.path = path
	s.wrote.Store(true)
	return nil
}

// finish makes a partial blob, which has every chunk, a complete one, by one
// rename; false if it can't, or another process has done so.
func (s *store) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.disk.blob(s.digest)
	err := errors.Join(s.data.Sync(), s.sums.Sync(), os.MkdirAll(filepath.Dir(path), 0o700))
	if err != nil {
		s.disk.failed("a blob can't be kept", s.path, err)
		return false
	}
	release, err := s.claimAll()
	if err != nil {
		return false
	}
	defer release()
	if !s.isAt(s.path) {
		return false // another process has done so, or thrown it away
	}
	err = os.Rename(s.path, path)
	switch {
	case errors.Is(err, os.ErrExist), errors.Is(err, unix.ENOTEMPTY):
		s.disk.throwAway(s.path) // somebody else's is there
		return false
	case err != nil:
		s.disk.failed("a blob can't be kept", s.path, err)
		return false
	}
	s.path = path
	return true
}

// claimAll claims every chunk: nobody else writes, or removes one, until release.
func (s *store) claimAll() (release func(), err error) {
	last := s.grid.chunks() - 1
	const tries = 100 // half a second
	for range tries {
		if s.claim(0, last) {
			return func() { s.unclaim(0, last) }, nil
		}
		time.Sleep(shareEvery)
	}
	return nil, errClaimed
}

// isAt tells whether the files of the directory at path are s's.
func (s *store) isAt(path string) bool {
	return isFile(s.sums, filepath.Join(path, sumsName)) && isFile(s.data, filepath.Join(path, dataName))
}

// isFile tells whether f is the file at path.
func isFile(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, named)
}

// discard removes it from disk; who has it open goes on.
func (s *store) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isAt(s.path) {
		s.disk.throwAway(s.path)
	}
}

// close ends its locks. A partial blob without a chunk is removed.
func (s *store) close() {
	if s.fresh && !s.wrote.Load() && lock(s.sums, unix.LOCK_EX) == nil {
		s.discard()
	}
	if err := errors.Join(s.data.Close(), s.sums.Close()); err != nil {
		s.disk.log.Debug("closing a blob on disk failed", "digest", s.digest, "error", err)
	}
}

func (s *store) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.path
}

// touch notes that the blob is used.
func (s *store) touch() {
	now, before := time.Now(), s.touched.Load()
	if now.Unix()-before < int64(touchEvery/time.Second) || !s.touched.CompareAndSwap(before, now.Unix()) {
		return
	}
	s.disk.touch(filepath.Join(s.name(), sumsName), now)
}

// lock takes a lock of f that lasts until f is closed, without waiting for it.
func lock(f *os.File, how int) error {
	return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) //nolint:gosec // a file descriptor is small
}
