package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A run is one request for the chunks next to last. A source that ignores ranges
// makes it a stream: it then brings every chunk of the blob as it passes.
//
// It has no retries and no deadlines: those are the Fetcher's.
type run struct {
	table   *table
	fetcher Fetcher
	ctx     context.Context
	cancel  context.CancelCauseFunc
	wanted  chan struct{} // closed once somebody waits; nil where somebody does from the start
	wake    chan struct{} // holds one token when somebody wants something
	began   time.Time

	// Guarded by table.mu.
	next    int  // the chunk that arrives next
	last    int  // the last one to bring
	demand  int  // the last one that somebody waits for, -1 if nobody ever did
	filled  int  // the last one that who fills the blob waits for, -1 as above: it makes nothing urgent
	stream  bool // it brings all of the blob
	claimed int  // the last one that was claimed, see share.go
}

// splitAfter is how far, in bytes, a request may be from what a reader waits for
// before that is asked for by itself. Below it waiting is sooner than asking.
const splitAfter = 8 << 20

// newRun is a run for chunk i alone, to be extended and started. t.mu is held.
func (t *table) newRun(f Fetcher, i int) *run {
	r := &run{table: t, fetcher: f, wake: make(chan struct{}, 1), next: i, last: i, demand: -1, filled: -1, claimed: -1, began: time.Now()}
	r.ctx, r.cancel = context.WithCancelCause(t.cache.ctx)
	t.runs[r] = struct{}{}
	t.users++
	return r
}

// start begins runs. No lock is held.
func start(runs []*run) {
	for _, r := range runs {
		if !r.table.cache.work.run(r.fetch) {
			r.finish(errClosed)
		}
	}
}

// want notes that somebody waits for chunk i. table.mu is held.
func (r *run) want(i int) {
	if r.demand < 0 && r.wanted != nil {
		close(r.wanted)
	}
	r.demand = max(r.demand, i)
	r.goOn()
}

// fills notes that who fills the blob waits for chunk i. table.mu is held.
func (r *run) fills(i int) {
	r.filled = max(r.filled, i)
	r.goOn()
}

// goOn wakes r where it rests, see pace.
func (r *run) goOn() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// idle says that nobody waits for what r has yet to bring. table.mu is held.
func (r *run) idle() bool { return r.demand < r.next }

// demand has chunk i fetched for a reader that waits for it, by the last of runs
// if it can go on to it, or by another one that is added. t.mu is held.
func (t *table) demand(f Fetcher, i int, runs []*run) []*run {
	switch n := len(runs); {
	case t.rangeless:
		r := t.streamTo(i)
		if r == nil {
			r = t.newRun(f, 0)
			r.become()
			runs = append(runs, r)
		}
		t.claim(i, r)
	case n > 0 && runs[n-1].last == i-1 && !runs[n-1].stream:
		runs[n-1].last = i
		t.claim(i, runs[n-1])
	default:
		runs = append(runs, t.newRun(f, i))
		t.claim(i, runs[n])
	}
	t.flights[i].run.want(i)
	return runs
}

// hurry is told that a reader waits for chunk i, which fl brings. If that is far
// from where its request is, the rest of it from there on is asked for by itself.
// t.mu is held.
func (t *table) hurry(f Fetcher, fl *flight, i int) []*run {
	r := fl.run
	if r == nil {
		return nil // from disk
	}
	if r.stream || int64(i-r.next)*ChunkSize < splitAfter {
		r.want(i)
		return nil
	}
	other := t.newRun(f, i)
	other.last, r.last = r.last, i-1
	other.claimed, r.claimed = r.claimed, min(r.claimed, r.last)
	other.filled = r.filled
	for k := i; k <= other.last; k++ {
		if fl := t.flights[k]; fl != nil && fl.run == r && !fl.landed() {
			fl.run = other
		}
	}
	other.want(i)
	return []*run{other}
}

// ahead asks for those of the chunks first to last that nobody has or brings, in
// requests of so many chunks, and waits for none of them. It returns the first
// chunk it didn't get to: nobody has looked yet whether that is on disk.
func (t *table) ahead(f Fetcher, first, last, request int) int {
	var runs []*run
	t.mu.Lock()
	defer func() {
		t.mu.Unlock()
		start(runs)
	}()
	if t.over() != nil || t.rangeless {
		return last + 1
	}
	for i := first; i <= last; i++ {
		if t.flights[i] == nil && t.whereIs(i) == unlooked {
			t.look(i)
			return i
		}
		if !t.nowhere(i) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].last == i-1 && i-runs[n-1].next < request {
			runs[n-1].last = i
		} else {
			r := t.newRun(f, i)
			r.wanted = make(chan struct{})
			runs = append(runs, r)
		}
		t.claim(i, runs[len(runs)-1])
		t.cache.counts.aheadBytes.Add(int64(t.grid.length(i)))
	}
	return last + 1
}

// nowhere says whether nobody has or brings chunk i, as far as is known. t.mu is held.
func (t *table) nowhere(i int) bool {
	if t.flights[i] != nil || t.whereIs(i) != absent {
		return false
	}
	_, ok := t.cache.memory.get(chunkKey(t.id, i))
	return !ok
}

// fetch is the goroutine of a run.
func (r *run) fetch() {
	err := errPanicked
	defer func() { r.finish(err) }()
	err = r.bring()
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
}

// finish ends the run: whoever still waits for one of its chunks gets err.
func (r *run) finish(err error) {
	t := r.table
	switch {
	case err == nil:
		err = errAgain
	case !errors.Is(err, errAgain) && !errors.Is(err, ErrDigest) && !errors.Is(err, errClosed):
		err = fmt.Errorf("fetch blob %s from %s: %w", t.key.Digest, t.key.Origin, err)
		t.cache.log.Debug("a fetch failed", "digest", t.key.Digest, "error", err)
	}
	t.mu.Lock()
	store, first, last := t.store, r.next, r.claimed
	if delete(t.runs, r); len(t.runs) == 0 { // a cache between here and the source may have all of it by now
		t.rangeless, t.ranged = t.unpacks, false
	}
	for i, fl := range t.flights {
		if fl.run != r || fl.landed() {
			continue
		}
		fl.land(nil, err)
		if errors.Is(err, context.DeadlineExceeded) {
			fl.late = time.Now().Add(lateness) // it stays for so long
		} else {
			delete(t.flights, i)
		}
	}
	t.mu.Unlock()
	r.cancel(nil)
	if store != nil && store.writable {
		store.unclaim(first, last)
	}
	t.leave()
}

// bring makes the request and takes what comes. It is more than one request only
// where other processes bring what lies between.
func (r *run) bring() error {
	for {
		last, err := r.turn()
		if err != nil {
			return err
		}
		if _, n := r.span(last); n <= 0 {
			return nil
		}
		answered, err := r.mayAsk()
		if err != nil {
			return err
		}
		if err := r.ask(last, answered); err != nil {
			return err
		}
	}
}

// ask makes one request, for the chunks up to last, and tells when it is answered.
func (r *run) ask(last int, answered func()) error {
	t := r.table
	defer answered()
	off, n := r.span(last)
	t.cache.counts.fetches.Add(1)
	t.mu.Lock()
	t.asked = r.fetcher
	t.mu.Unlock()
	stream, whole, err := r.fetcher.Fetch(r.ctx, off, n, r.wanted)
	goesOn := err == nil && r.takes(whole)
	answered()
	if err != nil {
		return err
	}
	body := &countedBody{stream, &t.cache.counts}
	unwatch := context.AfterFunc(r.ctx, func() { _ = stream.Close() }) // every byte that counts has been read
	defer func() {
		unwatch()
		_ = stream.Close() // perhaps once more: it is closed when the run has ended
	}()
	if !goesOn {
		return errAgain
	}
	return r.receive(body, last)
}

// span is the range of bytes to ask for, up to chunk last.
func (r *run) span(last int) (off, n int64) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	off = r.table.grid.offset(r.next)
	return off, r.table.grid.offset(min(last, r.last)+1) - off
}

// receive reads chunks from a body up to the last one, as far as r is to bring
// them.
func (r *run) receive(body io.Reader, last int) error {
	t := r.table
	for {
		i, more, err := r.pace(last)
		if !more {
			return err
		}
		data := make([]byte, t.grid.length(i))
		if _, err := io.ReadFull(body, data); err != nil {
			return err
		}
		if err := t.arrived(r, i, data); err != nil {
			return err
		}
	}
}

// more is the chunk that comes next, of those up to last unless r is a stream; false
// if r has brought what it is to bring, or nobody wants the rest. table.mu is held.
func (r *run) more(last int) (i int, more bool) {
	i = r.next
	if r.table.handles == 0 && r.idle() {
		r.last = min(r.last, i-1)
	}
	return i, i <= r.last && (i <= last || r.stream)
}

// A countedBody counts what comes.
type countedBody struct {
	io.Reader
	counts *counters
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.counts.fetchedBytes.Add(int64(n))
	return n, err
}
