package images

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/orasfs/orasfs/fs/archive"
)

// room is memory that openings take for a while.
//
// Some of it is kept by the entries of layers that are open, until those are
// applied. Who waits for room gets that first: it can be given up at any time, and
// must be, since an opening that keeps some may itself be waiting for more.
type room struct {
	size  int64
	taken *semaphore.Weighted
	lend  func(int64)

	mu      sync.Mutex // guards what follows
	waiting int
	kept    map[*layer]func() // gives back the room of a layer's entries
}

func newRoom(size int64, lend func(int64)) *room {
	return &room{size: size, taken: semaphore.NewWeighted(size), lend: lend, kept: map[*layer]func(){}}
}

// errRoom is the error of what takes more memory than there is.
var errRoom = fmt.Errorf("it doesn't fit into --memory: %w", archive.ErrTooLarge)

// try takes n bytes if they are there.
func (r *room) try(n int64) (give func(), ok bool) {
	if !r.taken.TryAcquire(n) {
		return nil, false
	}
	return r.taking(n), true
}

// taking tells of n bytes that were taken, until they are given back.
func (r *room) taking(n int64) (give func()) {
	r.lend(n)
	return func() {
		r.lend(-n)
		r.taken.Release(n)
	}
}

// take waits until there are n bytes. What more is asked for than there is at all
// is refused.
func (r *room) take(ctx context.Context, what string, n int64) (give func(), err error) {
	if n > r.size {
		return nil, fmt.Errorf("%s takes %d MiB of memory, %d are allowed: %w", what, n>>20, r.size>>20, errRoom)
	}
	if give, ok := r.try(n); ok {
		return give, nil
	}
	r.reclaim()
	err = r.taken.Acquire(ctx, n)
	r.mu.Lock()
	r.waiting--
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return r.taking(n), nil
}

// reclaim counts one more who waits, and takes back what is kept. Nothing more is
// kept as long as somebody waits.
func (r *room) reclaim() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting++
	for l, give := range r.kept {
		l.archive.Trim()
		give()
	}
	clear(r.kept)
}

// keep keeps the entries of a layer for the images that it is opened for, if there
// is room. Otherwise they are read again when they are applied.
func (r *room) keep(l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == 0 {
		if give, ok := r.try(l.archive.Size()); ok {
			r.kept[l] = give
			return
		}
	}
	l.archive.Trim()
}

// giveUp gives up the entries of a layer.
func (r *room) giveUp(l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.archive.Trim()
	if give := r.kept[l]; give != nil {
		give()
		delete(r.kept, l)
	}
}
