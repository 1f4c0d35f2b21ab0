package cache

import (
	"context"
	"fmt"
	"io"
	"time"
)

// maxDoubts bounds how many doubts of one blob are remembered.
const maxDoubts = 4096

// Doubt is told that n bytes at off, which r gave, are wrong: its caller has a
// digest of its own of them. Unless the content is verified, they are fetched once
// more, from another source if the fetcher has several, and compared with what came
// before. If the source sends something else
// now, the content is wrong: all of it is dropped, the error wraps ErrDigest, and
// who opens the blob next has it fetched anew. nil is that nothing else can be
// had; then the source isn't asked for these bytes again for a second, in which a
// kernel asks page by page for what it couldn't read.
func (r *Reader) Doubt(ctx context.Context, off, n int64) error {
	t := r.table
	if t == nil || off < 0 || n <= 0 || n > r.key.Size-off {
		return nil // a small blob is verified, and beyond the end is nothing
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer t.leave()
	first, last := t.grid.index(off), t.grid.index(off+n-1)
	if ask, err := t.doubted(first); !ask {
		return err
	}
	err := t.compare(ctx, r.fetcher, first, last)
	if err != nil {
		return fmt.Errorf("fetch what is doubted of blob %s again: %w", r.key.Digest, err)
	}
	return nil
}

// doubted tells whether the chunks from first on are to be asked for again.
func (t *table) doubted(first int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.over(); err != nil || t.trust == verified {
		return false, err
	}
	now := t.cache.wrong.now()
	if now.Sub(t.doubts[first]) < lateness {
		return false, nil
	}
	if t.doubts == nil || len(t.doubts) >= maxDoubts {
		t.doubts = make(map[int]time.Time)
	}
	t.doubts[first] = now
	return true, nil
}

// compare fetches chunks and compares them with what came before. What comes now
// isn't kept: if it is the same nothing has changed, else the content ends.
func (t *table) compare(ctx context.Context, f Fetcher, first, last int) error {
	off, end := t.grid.offset(first), t.grid.offset(last+1)
	t.cache.counts.fetches.Add(1)
	passOver(f)
	stream, whole, err := f.Fetch(ctx, off, end-off, nil)
	if err != nil {
		return err
	}
	unwatch := context.AfterFunc(ctx, func() { _ = stream.Close() }) // every byte that counts has been read
	defer func() {
		unwatch()
		_ = stream.Close() // likewise
	}()
	body := &countedBody{stream, &t.cache.counts}
	if whole {
		if _, err := io.CopyN(io.Discard, body, off); err != nil {
			return err
		}
	}
	for i := first; i <= last; i++ {
		data := make([]byte, t.grid.length(i))
		if _, err := io.ReadFull(body, data); err != nil {
			return err
		}
		t.mu.Lock()
		before := t.chunks.get(i).sum
		t.mu.Unlock()
		if before != 0 && before != t.sum(data) {
			return t.fail("a chunk that was doubted came again and differs")
		}
	}
	return nil
}
