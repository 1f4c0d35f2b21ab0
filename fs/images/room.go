package images

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/orasfs/orasfs/fs/archive"
)

// room is memory that openings take for a while.
type room struct {
	size  int64
	taken *semaphore.Weighted
	lend  func(int64)
}

func newRoom(size int64, lend func(int64)) *room {
	return &room{size, semaphore.NewWeighted(size), lend}
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
	if err := r.taken.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return r.taking(n), nil
}
