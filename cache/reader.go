package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A Reader reads one blob, like io.ReaderAt with a context. Its methods may be
// called by several goroutines at once.
type Reader struct {
	cache   *Cache
	key     Key
	fetcher Fetcher
	table   *table // nil for a small blob
	plan    *plan  // likewise
	checked bool   // what it gives goes to nobody before it was compared with a digest

	mu     sync.Mutex // guards what follows
	closed bool
	wrong  error // of a small blob that isn't what its digest says
}

func newReader(t *table, f Fetcher, inSequence int) *Reader {
	return &Reader{cache: t.cache, key: t.key, fetcher: f, table: t, plan: &plan{table: t, fetcher: f, inSequence: inSequence}}
}

// maxStep is how many bytes one step of a read asks for, so that a large p
// doesn't hold all of its chunks in memory.
const maxStep = 4 << 20

// ReadAt reads len(p) bytes from off on. Fewer come with an error, io.EOF only
// at the end of the blob.
//
// When ctx ends it returns ctx's own error at once; what it had asked for goes
// on arriving. After twice Options.Timeout it returns a
// context.DeadlineExceeded, whatever the fetcher does, unless it has to wait
// until all of the blob is verified: then for as long as the blob arrives. Who
// asks within a second again is told at once.
//
// An error that wraps ErrDigest means that the content is wrong and dropped, and
// that every later read of this Reader fails. Other errors are the fetcher's and
// are not remembered.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read of blob %s: negative offset %d", r.key.Digest, off)
	}
	wanted := p
	if rest := r.key.Size - off; int64(len(p)) > rest {
		wanted = p[:max(rest, 0)]
	}
	if err := r.enter(); err != nil {
		return 0, fmt.Errorf("read of blob %s: %w", r.key.Digest, err)
	}
	patience := r.cache.patience(ctx)
	defer patience.end()
	if r.table == nil {
		n, err = r.readSmall(patience, wanted, off)
	} else {
		defer r.table.leave()
		n, err = r.read(patience, wanted, off)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// enter makes the caller a user of the table.
func (r *Reader) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.wrong != nil:
		return r.wrong
	case r.closed, r.table != nil && !r.table.enter():
		return errClosed
	}
	return nil
}

// Close ends the reading ahead. What is on its way goes on arriving if somebody
// waits for it.
func (r *Reader) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if !closed && r.table != nil {
		r.plan.close()
		r.table.release()
	}
	return nil
}

func (r *Reader) readSmall(patience *patience, p []byte, off int64) (int, error) {
	data, err := r.cache.small(patience, r.key, fetchSmall(r.fetcher, r.key.Size))
	if errors.Is(err, ErrDigest) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wrong = err
	}
	if err != nil {
		return 0, err
	}
	return copy(p, data[min(off, r.key.Size):]), nil
}

// read fills p, which lies within the blob.
func (r *Reader) read(patience *patience, p []byte, off int64) (int, error) {
	t := r.table
	if err := t.attach(patience); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := r.step(patience, p[done:min(len(p), done+maxStep)], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// step fills p, which is at most maxStep long.
func (r *Reader) step(patience *patience, p []byte, off int64) (done int, err error) {
	t := r.table
	first := t.grid.index(off)
	pieces := make([]piece, t.grid.index(off+int64(len(p))-1)-first+1)
	waits, err := t.take(r.fetcher, first, pieces)
	if err != nil {
		return 0, err
	}
	r.plan.read(off, int64(len(p)), waits)
	for done < len(p) {
		at := off + int64(done)
		i := t.grid.index(at)
		here := p[done:min(int64(len(p)), t.grid.offset(i+1)-off)]
		if err := r.readChunk(patience, i, &pieces[i-first], here, at-t.grid.offset(i)); err != nil {
			return done, err
		}
		done += len(here)
	}
	return done, nil
}

// readChunk fills p with what is in chunk i from an offset on.
func (r *Reader) readChunk(patience *patience, i int, from *piece, p []byte, at int64) error {
	t := r.table
	for {
		err := r.bring(patience, i, from)
		if err == nil && !r.checked {
			err = r.allow(patience, i)
		}
		if err != nil {
			return err
		}
		if from.data != nil {
			copy(p, from.data[at:])
			return nil
		}
		if ok, err := t.readStored(patience, i, p, at); ok || err != nil {
			return err
		}
		if err := t.again(r.fetcher, i, from); err != nil {
			return err
		}
	}
}

// maxTries is how often a chunk is asked for that doesn't come, without an error.
const maxTries = 1000

// neverComes is the error after maxTries.
func (t *table) neverComes() error {
	return fmt.Errorf("blob %s from %s: what was asked for doesn't come: %w", t.key.Digest, t.key.Origin, errLate)
}

// bring waits until a piece is here, or on disk.
func (r *Reader) bring(patience *patience, i int, from *piece) error {
	t := r.table
	for tries := 0; from.data == nil && from.flight != nil; tries++ {
		if tries > maxTries {
			return t.neverComes()
		}
		data, err := patience.wait(from.flight)
		switch {
		case err == nil && data != nil:
			from.data = data
			return nil
		case errors.Is(err, errAgain):
			if err := t.again(r.fetcher, i, from); err != nil {
				return err
			}
		default:
			if errors.Is(err, errLate) {
				t.tooLate(i)
			}
			return err
		}
	}
	return nil
}

// again looks anew where chunk i comes from.
func (t *table) again(f Fetcher, i int, from *piece) error {
	one := []piece{{}}
	_, err := t.take(f, i, one)
	*from = one[0]
	return err
}

// allow waits until chunk i may be handed out.
func (r *Reader) allow(patience *patience, i int) error {
	for {
		if ok, err := r.table.handOut(i); ok || err != nil {
			return err
		}
		if err := r.table.verify(patience, r.fetcher); err != nil && !errors.Is(err, errAgain) {
			return err
		}
	}
}

// chunk is all of chunk i, whether or not it may be handed out.
func (r *Reader) chunk(patience *patience, i int) ([]byte, error) {
	t := r.table
	one := []piece{{}}
	waits, err := t.take(r.fetcher, i, one)
	if err != nil {
		return nil, err
	}
	r.plan.read(t.grid.offset(i), int64(t.grid.length(i)), waits)
	for {
		if err := r.bring(patience, i, &one[0]); err != nil {
			return nil, err
		}
		if one[0].data != nil {
			return one[0].data, nil
		}
		data := make([]byte, t.grid.length(i))
		if ok, err := t.readStored(patience, i, data, 0); ok || err != nil {
			return data, err
		}
		if err := t.again(r.fetcher, i, &one[0]); err != nil {
			return nil, err
		}
	}
}
