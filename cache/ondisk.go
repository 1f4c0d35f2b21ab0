package cache

import "errors"

// This file is a table's half of the disk: every call of the disk runs in a
// goroutine, so that a reader that is interrupted needn't wait for it, and no
// lock is held meanwhile.

// onDisk does work that needs the store in a goroutine, for the flight of chunk
// i, which it returns. t.mu is held.
func (t *table) onDisk(i int, work func(s *store) ([]byte, error)) *flight {
	fl, s := newFlight(), t.store
	t.flights[i] = fl
	t.users++
	started := t.cache.work.run(func() {
		var data []byte
		err := errPanicked
		defer func() {
			t.mu.Lock()
			fl.land(data, err)
			if t.flights[i] == fl {
				delete(t.flights, i)
			}
			t.mu.Unlock()
			t.leave()
		}()
		data, err = work(s)
	})
	if !started {
		fl.land(nil, errClosed)
		delete(t.flights, i)
		t.users--
	}
	return fl
}

// look finds out which chunks of i's page are on disk; whoever waits looks again
// then. t.mu is held.
func (t *table) look(i int) *flight {
	first := i / pageLen * pageLen
	count := min(pageLen, t.grid.chunks()-first)
	return t.onDisk(i, func(s *store) ([]byte, error) {
		have, err := s.look(first, count)
		if err != nil {
			t.cache.disk.failed("a blob on disk can't be read", s.name(), err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.flights, i) // with what it found out: nobody takes it for one that brings the chunk
		for k := range count {
			if c := t.chunks.at(first + k); c.where == unlooked {
				c.where = absent
				if have[k] {
					c.where = stored
				}
			}
		}
		return nil, errAgain
	})
}

// load reads chunk i, which another process or an earlier one left. t.mu is held.
func (t *table) load(i int) *flight {
	return t.onDisk(i, func(s *store) ([]byte, error) {
		data := make([]byte, t.grid.length(i))
		if err := s.read(i, data, 0); err != nil {
			t.lost(s, i, err)
			return nil, errAgain
		}
		return t.loaded(s, i, data)
	})
}

// loaded takes chunk i as it was on disk.
func (t *table) loaded(s *store, i int, data []byte) ([]byte, error) {
	sum := t.sum(data)
	t.mu.Lock()
	same, was := t.recognise(i, sum, t.complete && t.store == s), t.trust
	if same && t.store == s {
		t.chunks.at(i).where = sure
		t.kick(i)
	}
	t.mu.Unlock()
	switch {
	case same:
		t.cache.counts.diskHits.Add(1)
		return data, nil
	case was == verified: // what is on disk is the wrong one
		t.lost(s, i, errDamaged)
		return nil, errAgain
	}
	return nil, t.fail("what is on disk differs from what came")
}

// readStored fills p with what is in chunk i from an offset on, from disk; false
// if that can't be had there, which is known then.
func (t *table) readStored(patience *patience, i int, p []byte, at int64) (bool, error) {
	t.mu.Lock()
	s := t.store
	t.mu.Unlock()
	if s == nil {
		return false, nil
	}
	// A reader that is interrupted leaves p, so the disk fills a copy of it.
	data := make([]byte, len(p))
	fl := newFlight()
	if !t.enter() {
		return false, errClosed
	}
	if !t.cache.work.run(func() {
		defer t.leave()
		err := errPanicked
		defer func() { fl.land(data, err) }()
		if err = s.read(i, data, at); err != nil {
			t.lost(s, i, err)
			err = errAgain
		}
	}) {
		t.leave()
		return false, errClosed
	}
	if _, err := patience.wait(fl); err != nil {
		if errors.Is(err, errAgain) {
			return false, nil
		}
		return false, err
	}
	t.cache.counts.diskHits.Add(1)
	copy(p, data)
	return true, nil
}

// lost is told that chunk i couldn't be read from s. It is fetched again.
func (t *table) lost(s *store, i int, err error) {
	t.mu.Lock()
	complete := t.complete && t.store == s
	t.mu.Unlock()
	switch {
	case !errors.Is(err, errDamaged):
		// The disk failed, and may do better the next time: nothing is removed.
		t.cache.disk.failed("a blob on disk can't be read", s.name(), err)
	case complete || !errors.Is(err, errGone): // else it was removed to make room
		s.lose(i, t.key)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == s {
		t.chunks.at(i).where = absent
		if t.complete && errors.Is(err, errDamaged) {
			t.complete = false
			t.chunksOf(stored)
		}
	}
}

// chunksOf says where the chunks are that nobody has looked for, of a blob that
// was complete. t.mu is held.
func (t *table) chunksOf(w where) {
	for i := range t.grid.chunks() {
		if c := t.chunks.at(i); c.where == unlooked {
			c.where = w
		}
	}
}

// put has chunk i written, which fl brought. The caller counts as a user of t
// until it is.
func (t *table) put(i int, data []byte, fl *flight) {
	store := t.store // it doesn't change while there are users
	done := func(written bool) {
		store.unclaim(i, i)
		t.mu.Lock()
		if t.flights[i] == fl {
			delete(t.flights, i)
		}
		c := t.chunks.at(i)
		switch {
		case written:
			c.where = sure
			t.kept = append(t.kept, i)
		case c.where == stored: // what is there may be another chunk
			c.where = absent
		}
		finish := written && t.trust == verified
		t.mu.Unlock()
		if finish {
			t.finish()
		}
		t.leave()
	}
	t.cache.disk.queue.put(func() { done(t.write(store, i, data)) }, func() { done(false) })
}

// write puts chunk i on disk. Where there is no room, or the blob would take more
// than its share, it loses chunks of its own: those that came first.
func (t *table) write(s *store, i int, data []byte) bool {
	share := t.cache.disk.share(t.key.Size)
	for {
		t.mu.Lock()
		held := int64(len(t.kept)) * ChunkSize
		failed, full := t.trust == failed, held > 0 && held+ChunkSize > share
		t.mu.Unlock()
		if failed {
			return false
		}
		if !full {
			err := s.write(i, data)
			if err == nil {
				return true
			}
			full = errors.Is(err, errNoRoom)
		}
		if !full || !t.shed(s) {
			return false
		}
	}
}

// shed removes the chunk from disk that came first; false if there is none.
func (t *table) shed(s *store) bool {
	t.mu.Lock()
	if len(t.kept) == 0 || t.trust == failed || t.complete {
		t.mu.Unlock()
		return false
	}
	i := t.kept[0]
	t.kept = t.kept[1:]
	t.chunks.at(i).where = absent
	t.mu.Unlock()
	if !s.drop(i) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.kept = append(t.kept, i)
		if c := t.chunks.at(i); c.where == absent {
			c.where = stored
		}
		return false
	}
	t.cache.counts.evictions.Add(1)
	t.cache.counts.evictedBytes.Add(int64(t.grid.length(i)))
	return true
}

// finish makes a store that has all chunks, as they were verified, a complete
// blob. The caller is a user of t.
func (t *table) finish() {
	t.mu.Lock()
	s := t.store
	ready := s != nil && s.writable && !t.complete && t.trust == verified && t.allSure()
	if ready {
		t.users++
	}
	t.mu.Unlock()
	if !ready {
		return
	}
	if !t.cache.work.run(func() {
		defer t.leave()
		if s.finish() {
			t.mu.Lock()
			t.complete = true
			t.mu.Unlock()
		}
	}) {
		t.leave()
	}
}

// allSure says that every chunk is on disk as it was here. t.mu is held.
func (t *table) allSure() bool {
	if len(t.chunks.m)*pageLen < t.grid.chunks() {
		return false
	}
	for i := range t.grid.chunks() {
		if t.chunks.get(i).where != sure {
			return false
		}
	}
	return true
}
