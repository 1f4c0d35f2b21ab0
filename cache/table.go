package cache

import (
	"cmp"
	"container/list"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// A table is all that the cache knows of one content of a large blob, as one
// origin gives it: for each chunk where it is, what it was, whether it was
// handed out and who brings it; and for the whole whether it may be trusted.
//
// A content that turns out to be wrong ends with its table. The next one of that
// blob has a table of its own, and so another id.
type table struct {
	cache *Cache
	key   Key
	id    uint64 // of its chunks in memory, and its generation; never used again
	grid  grid

	rests  *list.Element // in tables.idle, nil while in use; guarded by tables.mu
	weight int           // what it costs there; likewise

	failing sync.Once

	mu        sync.Mutex // guards what follows; never held across network or disk
	handles   int        // open Blobs and Readers
	users     int        // handles, runs, hashing and disk work: while there is one, the disk stays attached
	trust     trust
	err       error // why it failed, or is about to
	chunks    pages[chunk]
	handed    int  // chunks handed out
	handedAll bool // see handAll
	seen      bool // some chunk has come, wherever from
	flights   map[int]*flight
	runs      map[*run]struct{} // on their way
	asked     Fetcher           // the last one
	unpacks   bool              // an Unpacker fetches it
	rangeless bool              // the source sends the whole blob for any range, as far as is known
	ranged    bool              // it has sent a range
	first     *firstAnswer      // of an unsure source; nil while nobody asks for it
	hashing   hashing
	disk      attachment
	store     *store            // nil where there is no disk, or none yet
	complete  bool              // store is the whole blob, verified when it was put there
	kept      []int             // chunks that this table had written, the oldest first
	doubts    map[int]time.Time // when they were asked for again, by the first of their chunks
	arriving  rate
}

// A chunk is what is known of one.
type chunk struct {
	// sum is a keyed hash of the bytes that were here, 0 before. A source
	// that answers differently when asked again is found out by it.
	sum    uint64
	where  where
	handed bool
}

// where a chunk is on disk.
type where uint8

const (
	unlooked where = iota // nobody has looked yet
	absent
	stored // another process wrote it, or an earlier one
	sure   // its bytes went through this process: they are those of chunk.sum
)

// errAgain is the error of a flight that ended, or was handed to another, before
// its chunk came. Whoever waits looks again; nobody outside sees it.
var errAgain = errors.New("the fetch ended before this chunk")

// sum is a keyed hash of data, never 0. Its key is this process's, so no
// source can aim at a collision.
func (t *table) sum(data []byte) uint64 { return maphash.Bytes(t.cache.seed, data) | 1 }

// whereIs says where chunk i is on disk, as far as is known. t.mu is held.
func (t *table) whereIs(i int) where {
	w := t.chunks.get(i).where
	switch {
	case t.store == nil:
		return absent
	case w != unlooked:
		return w
	case t.complete:
		return stored
	case t.store.fresh:
		return absent
	}
	return unlooked
}

// A piece is one chunk of a read: its bytes, or what brings them. Neither is a
// chunk that is on disk, to be read from there.
type piece struct {
	data   []byte
	flight *flight
}

// take says where the chunks from first on are, out of them, and has fetched
// what nobody has or brings. waits is that the reader has to.
func (t *table) take(f Fetcher, first int, out []piece) (waits bool, err error) {
	var runs []*run
	t.mu.Lock()
	defer func() {
		t.mu.Unlock()
		start(runs)
	}()
	for k := range out {
		i := first + k
		if err := t.over(); err != nil {
			return false, err
		}
		out[k] = piece{}
		if fl := t.flight(i); fl != nil {
			if fl.err != nil || time.Now().Before(fl.late) {
				return false, cmp.Or(fl.err, errLate)
			}
			out[k] = piece{fl.data, fl}
			if out[k].data != nil {
				t.cache.counts.memoryHits.Add(1)
			} else {
				if fl.run != nil { // else from disk
					t.cache.counts.misses.Add(1)
				}
				runs = append(runs, t.hurry(f, fl, i)...)
				out[k].flight, waits = t.flights[i], true
			}
			continue
		}
		if data, ok := t.cache.memory.get(chunkKey(t.id, i)); ok {
			t.cache.counts.memoryHits.Add(1)
			out[k].data = data
			continue
		}
		switch t.whereIs(i) {
		case sure:
		case stored:
			if t.trust != verified || !t.complete {
				out[k].flight = t.load(i)
			}
		case unlooked:
			out[k].flight = t.look(i)
		default:
			t.cache.counts.misses.Add(1)
			runs = t.demand(f, i, runs)
			out[k].flight, waits = t.flights[i], true
		}
	}
	return waits, nil
}

// over is why nothing is given any more, nil if there is no reason. t.mu is held.
func (t *table) over() error {
	if t.trust == failed {
		return t.err
	}
	if t.cache.ctx.Err() != nil {
		return errClosed
	}
	return nil
}

// flight is what brings chunk i, or says why it couldn't be brought a moment
// ago. t.mu is held.
func (t *table) flight(i int) *flight {
	fl := t.flights[i]
	if fl != nil && fl.landed() && fl.err != nil && !time.Now().Before(fl.late) {
		delete(t.flights, i)
		return nil
	}
	return fl
}

// claim makes r the one that brings chunk i. t.mu is held.
func (t *table) claim(i int, r *run) {
	fl := newFlight()
	fl.run = r
	t.flights[i] = fl
}

// tooLate is told that a reader of chunk i has waited for as long as it may.
func (t *table) tooLate(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fl := t.flights[i]; fl != nil {
		fl.late = time.Now().Add(lateness)
	}
}

// arrived takes chunk i as its source sent it: it is compared with what is known
// of it, given to those who wait, and kept.
func (t *table) arrived(r *run, i int, data []byte) error {
	sum := t.sum(data)
	t.mu.Lock()
	if t.trust == failed {
		defer t.mu.Unlock()
		return t.err
	}
	if !t.recognise(i, sum, false) {
		t.mu.Unlock()
		return t.fail("a chunk came twice and differs")
	}
	t.cache.memory.set(chunkKey(t.id, i), data)
	fl := t.flights[i]
	if fl == nil || fl.landed() {
		t.claim(i, r)
		fl = t.flights[i]
	}
	fl.land(data, nil)
	t.arriving.add(len(data), time.Now())
	r.next = i + 1
	t.kick(i)
	// The flight stays in its place until the chunk is on disk, so that nobody
	// fetches it in between where memory is too small to hold it.
	store := t.store
	put := store != nil && store.writable && t.whereIs(i) != sure
	if !put {
		delete(t.flights, i)
	} else {
		t.users++
	}
	t.mu.Unlock()
	switch {
	case put:
		t.put(i, data, fl)
	case store != nil:
		store.unclaim(i, i)
	}
	return nil
}

// hold makes the caller one who has a handle on t.
func (t *table) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handles++
	t.users++
}

// enter makes the caller a user of t; false if nobody has a handle on it.
func (t *table) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handles == 0 {
		return false
	}
	t.users++
	return true
}

// leave ends what enter began.
func (t *table) leave() { t.let(0) }

// release ends a handle. With the last one ends what nobody waits for.
func (t *table) release() { t.let(1) }

func (t *table) let(handles int) {
	t.mu.Lock()
	t.handles -= handles
	t.users--
	if t.handles == 0 {
		for r := range t.runs {
			if r.idle() {
				r.cancel(errAgain)
			}
		}
	}
	last := t.users == 0
	var detach func()
	if last {
		detach = t.detach()
	}
	t.mu.Unlock()
	if last {
		detach()
		t.cache.tables.rest(t)
	}
}

// remembers says whether somebody uses t, and how much it has to remember, in
// chunks.
func (t *table) remembers() (used bool, weight int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handed == 0 && t.trust != verified {
		return t.users > 0, 0
	}
	return t.users > 0, max(1, len(t.chunks.m)*pageLen)
}
