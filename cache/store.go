package cache

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// A store is a large blob on disk: a data file, with holes while it is
// partial, and a journal with the checksums of the chunks that are there. A
// complete blob is the same two files in another place, its journal being
// called its sums.
//
// A partial is locked by its journal while somebody has it open.
type store struct {
	disk   *disk
	key    Key
	grid   grid
	header []byte // of the journal

	data    *os.File
	journal *os.File

	mu        sync.Mutex // guards what follows
	dataPath  string
	journPath string
	end       int64 // of the journal
	cells     pages[cell]
	present   int  // chunks that are there
	complete  bool // whole and verified; only verified bytes are written to it
	finishing bool // on its way to be complete: nothing is written
	broken    bool // a write failed: nothing is written any more
	dropped   bool // its files are removed
	private   bool // its files go when it is closed, unless it gets complete
	reported  bool // damage was logged
}

// A cell is what a store knows of one chunk.
type cell struct {
	crc     uint32
	present bool
	// sure is that the bytes went through this process, so that they are the
	// ones of content.notes and not only have their CRC.
	sure bool
}

func (s *store) has(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cells.get(i).present
}

func (s *store) isSure(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cells.get(i).sure
}

func (s *store) isComplete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

// isFull says that every chunk is there but the blob isn't complete.
func (s *store) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.complete && s.present == s.grid.chunks()
}

// read is chunk i, nil if it isn't there or not as it was written. It is
// trusted if the blob is complete.
func (s *store) read(i int) (data []byte, trusted bool) {
	s.mu.Lock()
	known, complete := s.cells.get(i), s.complete
	s.mu.Unlock()
	if !known.present {
		return nil, false
	}
	data = make([]byte, s.grid.length(i))
	_, err := s.data.ReadAt(data, s.grid.offset(i))
	if err == nil && checksum(data) == known.crc {
		s.mu.Lock()
		if c := s.cells.at(i); *c == known {
			c.sure = true
		}
		s.mu.Unlock()
		return data, complete
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cells.get(i); c != known {
		return nil, false // it was written anew in the meantime
	}
	s.forgetLocked(i)
	s.disk.counts.wrongOnDisk.Add(1)
	if !s.reported && !errors.Is(err, os.ErrClosed) {
		s.reported = true
		s.disk.log.Warn("a blob on disk is damaged; what is wrong is fetched again", "digest", s.key.Digest, "chunk", i, "path", s.dataPath, "error", err)
	}
	return nil, false
}

// forget drops chunk i, so that it is fetched again.
func (s *store) forget(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(i)
}

func (s *store) forgetLocked(i int) {
	if c := s.cells.at(i); c.present {
		c.present, c.sure = false, false
		s.present--
	}
}

// write puts chunk i on disk, unless the same bytes are there, and says
// whether it did. Bytes that are there from an earlier process are written
// over: having their CRC doesn't make them the same.
func (s *store) write(i int, data []byte, verified bool) bool {
	crc := checksum(data)
	s.mu.Lock()
	c := s.cells.get(i)
	no := s.dropped || s.broken || s.finishing || c.sure || s.complete && (c.present || !verified || c.crc != crc)
	if !no {
		s.forgetLocked(i)
	}
	s.mu.Unlock()
	if no {
		return false
	}
	size := onDiskSize(len(data))
	if !s.disk.reserve(size) {
		return false
	}
	_, err := s.data.WriteAt(data, s.grid.offset(i))
	s.disk.settle(size, err == nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.complete {
		_, err = s.journal.WriteAt(journalRecord(s.header, i, crc), s.end)
	}
	if err != nil {
		s.broken = true
		s.disk.warn("the cache can't be written: going on without it for this blob", s.dataPath, err)
		return false
	}
	if !s.complete {
		s.end += recordSize
	}
	if c := s.cells.at(i); !c.present {
		s.present++
	}
	*s.cells.at(i) = cell{crc: crc, present: true, sure: true}
	return true
}

// finish makes a full store whose content is verified a complete blob. The
// sums go first: until the data follow there is no complete blob, and when
// they have followed there is all of it. What a crash leaves in between is
// swept up (see entry.leftover).
func (s *store) finish() {
	s.mu.Lock()
	if s.complete || s.finishing || s.dropped || s.broken || s.present != s.grid.chunks() {
		s.mu.Unlock()
		return
	}
	s.finishing = true
	s.mu.Unlock()
	path := s.disk.blob(s.key.Digest)
	err := errors.Join(s.data.Sync(), s.journal.Sync(), os.MkdirAll(filepath.Dir(path), 0o700))
	if err == nil {
		err = os.Rename(s.journPath, sums(path))
	}
	if err == nil {
		err = os.Rename(s.dataPath, path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishing = false
	if err != nil {
		s.broken = true
		s.disk.warn("a blob can't be kept", s.dataPath, err)
		return
	}
	s.complete = true
	s.dataPath, s.journPath = path, sums(path)
	if s.dropped {
		s.unlink()
	}
}

// drop removes the files; who reads them goes on.
func (s *store) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	s.unlink()
}

// unlink removes the data first: without them the sums are nothing.
func (s *store) unlink() {
	s.disk.remove(s.dataPath)
	s.disk.remove(s.journPath)
}

// close ends the lock as well. A partial that is nobody else's to go on with,
// or that is empty, is removed.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.complete && !s.dropped && (s.private || s.present == 0) {
		s.unlink()
	}
	return errors.Join(s.data.Close(), s.journal.Close())
}
