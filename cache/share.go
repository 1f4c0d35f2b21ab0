package cache

import (
	"errors"
	"time"
)

// Several processes may read one blob, and fill one partial of it. Who fetches a
// chunk has claimed it before; the others wait until it is on disk, and take it
// from there. So a machine downloads a blob once, and nobody writes where somebody
// else does.

// shareEvery is how often one who waits looks whether a chunk has come.
const shareEvery = 5 * time.Millisecond

// turn claims the next chunks of r, having taken from disk what other processes
// bring, and returns the last one it has claimed. Nothing is left to do when that
// is before r.next.
func (r *run) turn() (last int, err error) {
	t := r.table
	patience := time.Now().Add(t.cache.options.Timeout)
	for {
		t.mu.Lock()
		s, first, last, stream := t.store, r.next, r.last, r.stream
		t.mu.Unlock()
		if first > last || s == nil || stream {
			return last, nil
		}
		if !s.writable || time.Now().After(patience) {
			return last, nil // what it brings isn't kept
		}
		if free := s.claimed(first, last); free > first {
			last = free - 1
			if s.claim(first, last) {
				r.hasClaimed(last)
				if last, err = r.missing(s, first, last); err != nil || last >= first {
					return last, err
				}
				continue
			}
		}
		had, err := r.takeOver(s, first)
		switch {
		case err != nil:
			return 0, err
		case had:
			patience = time.Now().Add(t.cache.options.Timeout)
			continue
		}
		select {
		case <-time.After(shareEvery):
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// missing takes those of the chunks that are claimed from disk that have come
// there since somebody looked, up to the first that hasn't, and returns the last
// one that isn't there either.
func (r *run) missing(s *store, first, last int) (int, error) {
	have, err := s.look(first, last-first+1)
	if err != nil {
		return last, nil // the network it is //nolint:nilerr // a disk that fails is done without
	}
	next := first
	for ; next <= last && have[next-first]; next++ {
		had, err := r.takeOver(s, next)
		if err != nil {
			return 0, err
		}
		if !had { // it isn't as it was written, or can't be read
			break
		}
	}
	for i := next + 1; i <= last; i++ {
		if have[i-first] {
			s.unclaim(i, last)
			return i - 1, nil
		}
	}
	return last, nil
}

// hasClaimed notes that the chunks up to last are claimed: finish gives back those
// that didn't come.
func (r *run) hasClaimed(last int) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	r.claimed = max(r.claimed, last)
}

// takeOver takes chunk i as another process wrote it; false if it can't be had.
func (r *run) takeOver(s *store, i int) (bool, error) {
	t := r.table
	data := make([]byte, t.grid.length(i))
	if err := s.read(i, data, 0); err != nil {
		if !errors.Is(err, errDamaged) { // which is that it isn't there, or is gone again
			t.cache.disk.failed("a blob on disk can't be read", s.name(), err)
		}
		return false, nil
	}
	t.mu.Lock()
	t.chunks.at(i).where = sure
	t.mu.Unlock()
	return true, t.arrived(r, i, data)
}
