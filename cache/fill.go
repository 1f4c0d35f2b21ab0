package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A piece of a blob that is wanted as a whole is a request of so many bytes: half of a
// connection's share of what is left. So all connections end together, and little is left
// to be hashed then; the bounds are what of the blob waits for the first piece's end, and
// what is worth a request.
const (
	maxPiece = 24 << 20
	minPiece = 4 << 20
	// pieceEnd is the part of a piece that is its end: while that comes the next one is
	// asked for, whose latency passes meanwhile.
	pieceEnd = 8
)

// Fill brings all of the blob, verified, and tells how many of its bytes are here so far,
// by one goroutine at a time. It reads ahead for nobody: as many requests as there are
// connections bring one piece each, and go on to the next that nobody brings. How long
// that takes is the fetcher's, which ends what doesn't come. Its errors are those of a
// Reader that reads it all, and ctx's when that ends.
func (b *Blob) Fill(ctx context.Context, advance func(here int64)) error {
	if b.table == nil {
		_, err := b.ReadAll(ctx)
		if err == nil {
			advance(b.key.Size)
		}
		return err
	}
	if !b.table.enter() {
		return fmt.Errorf("fill blob %s: %w", b.key.Digest, errClosed)
	}
	defer b.table.leave()
	b.table.hold() // as a Reader does: it goes on when b is closed
	defer b.table.release()
	if err := b.Look(ctx); err != nil {
		return err
	}
	f := &filling{table: b.table, fetcher: b.fetcher, advance: advance}
	if err := f.bringAll(ctx); err != nil {
		return err
	}
	return f.verify(ctx)
}

// A filling is a blob that is brought as a whole.
type filling struct {
	table   *table
	fetcher Fetcher
	advance func(int64)

	mu   sync.Mutex // guards what follows
	next int        // the first chunk that nobody has taken
	here int64      // bytes
}

// bringAll brings the blob's pieces.
func (f *filling) bringAll(ctx context.Context) error {
	workers, ctx := errgroup.WithContext(ctx)
	for range f.table.cache.options.Concurrency {
		workers.Go(func() error { return f.work(ctx) })
	}
	return workers.Wait()
}

// work brings one piece after the other.
func (f *filling) work(ctx context.Context) error {
	for first, end := f.piece(); first < end; {
		var next, nextEnd int
		near := end - 1 - (end-first)/pieceEnd
		for i := first; i < end; i++ {
			if err := f.bring(ctx, i, end-1); err != nil {
				return err
			}
			f.came(i)
			if i != near {
				continue
			}
			if next, nextEnd = f.piece(); next < nextEnd {
				if _, err := f.find(next, nextEnd-1); err != nil {
					return err
				}
			}
		}
		first, end = next, nextEnd
	}
	return nil
}

// piece is what is to be brought next: chunks first to end, and none when all are taken.
func (f *filling) piece() (first, end int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.table.grid
	half := (g.size - g.offset(f.next)) / int64(2*f.table.cache.options.Concurrency)
	first = f.next
	f.next = min(first+int(min(max(half, minPiece), maxPiece)/ChunkSize), g.chunks())
	return first, f.next
}

func (f *filling) came(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.here += int64(f.table.grid.length(i))
	f.advance(f.here)
}

// bring waits until chunk i is here; what is asked for then goes up to chunk last.
func (f *filling) bring(ctx context.Context, i, last int) error {
	for range maxTries {
		fl, err := f.find(i, last)
		if fl == nil || err != nil {
			return err
		}
		select {
		case <-fl.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !errors.Is(fl.err, errAgain) {
			return fl.err
		}
	}
	return f.table.neverComes()
}

// find is what brings chunk i, nil if it is here.
func (f *filling) find(i, last int) (fl *flight, err error) {
	t := f.table
	var runs []*run
	t.mu.Lock()
	defer func() {
		t.mu.Unlock()
		start(runs)
	}()
	if err := t.over(); err != nil {
		return nil, err
	}
	if fl := t.flight(i); fl != nil {
		if fl.run != nil {
			fl.run.fills(i)
		}
		return fl, nil
	}
	if _, ok := t.cache.memory.get(chunkKey(t.id, i)); ok {
		t.kick(i)
		return nil, nil
	}
	switch t.whereIs(i) {
	case sure, stored:
		t.kick(i)
		return nil, nil
	case unlooked:
		return t.look(i), nil
	case absent:
	}
	if t.rangeless {
		runs = t.demand(f.fetcher, i, nil)
		return t.flights[i], nil
	}
	for k := i + 1; k <= last; k++ { // first where they are, so that one request goes as far as it can
		if t.whereIs(k) != unlooked {
			continue
		}
		if fl := t.flights[k]; fl == nil {
			return t.look(k), nil
		} else if fl.run == nil {
			return fl, nil // which looks
		}
	}
	r := t.newRun(f.fetcher, i)
	r.wanted = make(chan struct{})
	r.fills(i)
	t.claim(i, r)
	for k := i + 1; k <= last && t.nowhere(k); k++ {
		r.last = k
		t.claim(k, r)
	}
	runs = []*run{r}
	return t.flights[i], nil
}

// verify waits until all of the content is verified.
func (f *filling) verify(ctx context.Context) error {
	for {
		p := f.table.cache.patience(ctx)
		err := f.table.verify(p, f.fetcher)
		p.end()
		if !errors.Is(err, errAgain) {
			return err
		}
	}
}
