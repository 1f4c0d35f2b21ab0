package cache

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// A Reader reads one blob, like io.ReaderAt with a context. Its methods may be
// called by several goroutines at once.
type Reader struct {
	content *content
	fetcher Fetcher
	ahead   *readAhead

	mu     sync.Mutex // guards closed
	closed bool
}

// maxRead is how many bytes one step of a read asks for, so that a large p
// doesn't hold all of its chunks in memory.
const maxRead = maxRun

// ReadAt reads len(p) bytes from off on. Fewer come with an error, io.EOF only
// at the end of the blob.
//
// When ctx ends it returns ctx's own error at once; what it had asked for goes
// on arriving. An error that wraps ErrDigest means that the content is wrong
// and dropped, and that every later read of this Reader fails. Other errors
// are the fetcher's and are not remembered; one of a source that stalls
// satisfies errors.Is(err, context.DeadlineExceeded).
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c := r.content
	if off < 0 {
		return 0, fmt.Errorf("read of blob %s: negative offset %d", c.key.Digest, off)
	}
	if !r.enter() {
		return 0, fmt.Errorf("read of blob %s: %w", c.key.Digest, errClosed)
	}
	defer c.leave()
	if c.suspect || c.cache.options.Verify == VerifyFull {
		if err := c.verify(ctx, r.fetcher); err != nil {
			return 0, err
		}
	}
	wanted := p
	if rest := c.key.Size - off; int64(len(p)) > rest {
		wanted = p[:max(rest, 0)]
	}
	r.ahead.read(off, int64(len(wanted)))
	n, err := c.readAt(ctx, r.fetcher, wanted, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (r *Reader) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.closed && r.content.enter()
}

// Close ends the reading ahead. What is on its way goes on arriving.
func (r *Reader) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if !closed {
		r.ahead.close()
		r.content.release()
	}
	return nil
}

// readAt fills p, which lies within the blob. The caller is a user of c.
func (c *content) readAt(ctx context.Context, f Fetcher, p []byte, off int64) (int, error) {
	if c.key.Size == 0 {
		return 0, c.verify(ctx, f)
	}
	done := 0
	for done < len(p) {
		first := c.grid.index(off + int64(done))
		last := c.grid.index(off + int64(min(len(p), done+maxRead)) - 1)
		chunks, err := c.chunks(ctx, f, first, last)
		if err != nil {
			return done, err
		}
		for k, data := range chunks {
			if err := c.allow(ctx, f, first+k); err != nil {
				return done, err
			}
			skip := off + int64(done) - c.grid.offset(first+k)
			done += copy(p[done:], data[skip:])
		}
	}
	return done, nil
}

// allow waits until chunk i may be handed out.
func (c *content) allow(ctx context.Context, f Fetcher, i int) error {
	for {
		if ok, err := c.handOut(i); ok || err != nil {
			return err
		}
		if err := c.verify(ctx, f); err != nil {
			return err
		}
	}
}
