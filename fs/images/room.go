package images

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orasfs/orasfs/fs/archive"
)

// room is memory that openings take for a while: who applies layers takes it at once,
// a pass as what it holds grows (pass.go).
//
// Some of it is kept by the entries of layers that are open, until those are
// applied. Who waits for room gets that first: it can be given up at any time, and
// must be, since an opening that keeps some may itself be waiting for more.
//
// Who has the room may be passes that a registry holds up. So when nothing has been
// given back for roomPatience, the first who waits is given what isn't there.
type room struct {
	size     int64
	lend     func(int64)
	patience time.Duration // roomPatience

	mu      sync.Mutex // guards what follows
	taken   int64
	begun   int              // passes that have some of it
	waiting []*waiting       // the first is served first; passes that are new are the last
	kept    map[*layer]int64 // bytes of layers' entries
	beyond  *pass            // that has what isn't there: see pass
	given   time.Time        // when something was given back, or given so
}

const roomPatience = 5 * time.Second

// A waiting is somebody who waits for room.
type waiting struct {
	bytes int64
	pass  *pass // nil is another
	ready chan struct{}
}

// new tells whether it is a pass that has nothing yet.
func (w *waiting) new() bool { return w.pass != nil && w.pass.taken == 0 }

func newRoom(size int64, lend func(int64)) *room {
	return &room{size: size, lend: lend, patience: roomPatience, kept: map[*layer]int64{}}
}

// errRoom is the error of what takes more memory than there is.
var errRoom = fmt.Errorf("it doesn't fit into --memory: %w", archive.ErrTooLarge)

// try takes n bytes if they are there and nobody waits but passes that are new.
func (r *room) try(n int64) (give func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 && !r.waiting[0].new() || r.taken+n > r.size {
		return nil, false
	}
	r.add(n)
	return func() { r.release(n) }, true
}

// add takes n bytes more, or fewer.
//
// r.mu is held.
func (r *room) add(n int64) {
	r.taken += n
	r.lend(n)
}

func (r *room) release(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.giveBack(n)
}

// giveBack gives n bytes back.
//
// r.mu is held.
func (r *room) giveBack(n int64) {
	r.add(-n)
	r.given = time.Now()
	r.serve()
}

// take waits until there are n bytes. What more is asked for than there is at all
// is refused.
func (r *room) take(ctx context.Context, what string, n int64) (give func(), err error) {
	if n > r.size {
		return nil, fmt.Errorf("%s takes %d MiB of memory, %d are allowed: %w", what, n>>20, r.size>>20, errRoom)
	}
	w := &waiting{bytes: n, ready: make(chan struct{})}
	r.mu.Lock()
	r.wait(w)
	r.mu.Unlock()
	if err := r.await(ctx, w); err != nil {
		return nil, err
	}
	return func() { r.release(n) }, nil
}

// wait has somebody wait. What is kept is given up for who isn't served at once, and
// nothing more is kept as long as somebody waits.
//
// r.mu is held.
func (r *room) wait(w *waiting) {
	i := len(r.waiting)
	switch {
	case w.new():
	case w.pass != nil && w.pass == r.beyond:
		i = 0
	default: // What goes on comes before what is new: it gives back what it has when it ends.
		before := func(o *waiting) bool { return o.new() || o.pass == nil && w.pass != nil }
		if first := slices.IndexFunc(r.waiting, before); first >= 0 {
			i = first
		}
	}
	if len(r.waiting) == 0 {
		r.given = time.Now() // nobody has waited for it so far
	}
	r.waiting = slices.Insert(r.waiting, i, w)
	if r.serve(); len(r.waiting) == 0 {
		return
	}
	for l, n := range r.kept {
		l.archive.Trim()
		delete(r.kept, l)
		r.giveBack(n)
	}
}

// await waits until somebody is served, or doesn't want it any more.
func (r *room) await(ctx context.Context, w *waiting) error {
	for over := false; !over; {
		select {
		case <-w.ready:
			return nil
		case <-ctx.Done():
			over = true
		case <-time.After(r.lookAgain()):
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.waiting, w)
	if i < 0 {
		return nil // it came at the same moment
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
	r.serve()
	return ctx.Err()
}

// lookAgain gives the first who waits what isn't there if it is time for that, and
// tells how long it is until the next time.
func (r *room) lookAgain() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.patience - time.Since(r.given)
	if left > 0 || len(r.waiting) == 0 {
		return max(left, r.patience/8)
	}
	w := r.waiting[0]
	r.waiting = slices.Delete(r.waiting, 0, 1)
	r.given = time.Now()
	if w.pass != nil {
		r.beyond = w.pass
	}
	r.grant(w)
	r.serve()
	return r.patience
}

// serve gives those who wait what is there, in their order.
//
// r.mu is held.
func (r *room) serve() {
	for len(r.waiting) > 0 {
		w := r.waiting[0]
		if !r.has(w) {
			return
		}
		r.waiting = slices.Delete(r.waiting, 0, 1)
		r.grant(w)
	}
}

// grant gives who waits what it wants.
//
// r.mu is held.
func (r *room) grant(w *waiting) {
	if w.pass == nil {
		r.add(w.bytes)
	} else {
		r.give(w.pass, w.bytes)
	}
	close(w.ready)
}

// keep keeps the entries of a layer for the images that it is opened for, if there
// is room. Otherwise they are read again when they are applied.
func (r *room) keep(l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := l.archive.Size()
	if len(r.waiting) > 0 || r.taken+n > r.size {
		l.archive.Trim()
		return
	}
	r.add(n)
	r.kept[l] = n
}

// giveUp gives up the entries of a layer.
func (r *room) giveUp(l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.archive.Trim()
	if n, ok := r.kept[l]; ok {
		delete(r.kept, l)
		r.giveBack(n)
	}
}
