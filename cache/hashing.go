package cache

import (
	"context"
	"errors"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"
)

// hashing is how far the digest of a content has been computed. It is a reader
// like any other, from the first chunk to the last: one goroutine at a time
// advances it, as long as the next chunk is there. Where somebody waits for the
// end of it (a pass), it has fetched what isn't.
type hashing struct {
	hash    hash.Hash // the goroutine's own while it runs
	next    int       // chunks that are in hash
	running bool
	pass    *pass // what readers wait for; nil if none does
}

// A pass is the hashing of all that is left, for readers that wait for it. It
// ends with the last of them.
type pass struct {
	flight  *flight
	reader  *Reader
	waiters int // guarded by table.mu
	ctx     context.Context
	cancel  context.CancelFunc
}

// kick has the hashing go on if chunk i, which has come, is the next one. t.mu is
// held.
func (t *table) kick(i int) {
	if i == t.hashing.next && t.hashing.pass == nil && (t.trust == unknown || t.trust == suspect) {
		t.startHashing()
	}
}

// startHashing starts the goroutine unless it runs. t.mu is held.
func (t *table) startHashing() {
	if h := &t.hashing; !h.running && t.cache.work.run(t.hashOn) {
		h.running = true
		t.users++
	}
}

// verify waits until all of the content is verified, fetching with f what isn't
// there. It gives up when nothing has come for as long as a reader's patience.
// The caller is a user of t.
func (t *table) verify(p *patience, f Fetcher) error {
	t.mu.Lock()
	if t.trust == failed {
		defer t.mu.Unlock()
		return t.err
	}
	if t.trust == verified {
		t.mu.Unlock()
		return nil
	}
	h := &t.hashing
	if h.pass == nil {
		t.handles++
		t.users++
		h.pass = &pass{flight: newFlight(), reader: newReader(t, f, inSequence)}
		h.pass.ctx, h.pass.cancel = context.WithCancel(t.cache.ctx)
	}
	pass := h.pass
	pass.waiters++
	t.startHashing()
	if !h.running {
		pass.flight.land(nil, errClosed)
	}
	t.mu.Unlock()
	_, err := t.awaitPass(p, pass)
	t.mu.Lock()
	pass.waiters--
	last := pass.waiters == 0
	if last && h.pass == pass {
		h.pass = nil
	}
	t.mu.Unlock()
	if last {
		pass.cancel()
		pass.reader.Close() //nolint:errcheck // it never fails
	}
	return err
}

// awaitPass waits for as long as chunks come.
func (t *table) awaitPass(p *patience, pass *pass) ([]byte, error) {
	came := -1
	for {
		t.mu.Lock()
		now := t.hashing.next
		t.mu.Unlock()
		if now == came {
			return nil, errLate
		}
		came = now
		turn := patience{ctx: p.ctx, limit: p.limit}
		data, err := turn.wait(pass.flight)
		turn.end()
		if !errors.Is(err, errLate) || pass.flight.landed() {
			return data, err
		}
	}
}

// hashOn is the hashing goroutine.
func (t *table) hashOn() {
	defer t.leave()
	err, rests := errPanicked, false
	defer func() {
		if !rests {
			t.endHashing(err)
		}
	}()
	for {
		i, pass, end := t.nextToHash()
		if end != nil {
			err = end
			return
		}
		if i == t.grid.chunks() {
			err = t.conclude()
			return
		}
		data, bringing := t.toHash(i, pass)
		switch {
		case data != nil:
			_, _ = t.hashing.hash.Write(data) // a hash never fails, see hash.Hash
			t.mu.Lock()
			t.hashing.next++
			t.mu.Unlock()
		case bringing != nil && pass != nil && !t.passEnded(pass):
			err = bringing
			return
		case pass == nil && t.restHashing(i):
			rests = true
			return
		}
	}
}

// endHashing ends the hashing, and the pass that waits for it.
func (t *table) endHashing(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hashing.running = false
	if pass := t.hashing.pass; pass != nil {
		t.hashing.pass = nil
		pass.flight.land(nil, err)
	}
}

// nextToHash is the next chunk to be hashed, and the pass that wants it. With
// an error the hashing is over.
func (t *table) nextToHash() (int, *pass, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &t.hashing
	if err := t.over(); err != nil {
		return 0, nil, err
	}
	if t.trust == verified {
		return 0, nil, errAgain
	}
	if h.hash == nil {
		h.hash = t.key.Digest.Algorithm().Hash()
	}
	return h.next, h.pass, nil
}

// toHash is chunk i: for a pass it is fetched if need be, else it is nil where it
// isn't here.
func (t *table) toHash(i int, pass *pass) ([]byte, error) {
	if pass != nil {
		p := t.cache.patience(pass.ctx)
		defer p.end()
		if err := t.attach(p); err != nil {
			return nil, err
		}
		return pass.reader.chunk(p, i)
	}
	t.mu.Lock()
	fl := t.flights[i]
	if fl != nil && fl.landed() && fl.data != nil {
		t.mu.Unlock()
		return fl.data, nil
	}
	if data, ok := t.cache.memory.get(chunkKey(t.id, i)); ok {
		t.mu.Unlock()
		return data, nil
	}
	if w := t.whereIs(i); fl == nil && (w == sure || w == stored) {
		fl = t.load(i)
	}
	ofDisk := fl != nil && fl.run == nil
	t.mu.Unlock()
	if !ofDisk {
		return nil, nil
	}
	<-fl.done
	return fl.data, fl.err
}

func (t *table) passEnded(p *pass) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hashing.pass != p
}

// restHashing ends the goroutine unless chunk i has come in the meantime, or a
// pass has begun. With true another may run already: what hashing holds is its own.
func (t *table) restHashing(i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hashing.pass != nil {
		return false
	}
	if fl := t.flights[i]; fl != nil && fl.landed() && fl.data != nil {
		return false
	}
	if _, ok := t.cache.memory.get(chunkKey(t.id, i)); ok {
		return false
	}
	if w := t.whereIs(i); t.flights[i] == nil && (w == sure || w == stored) {
		return false
	}
	t.hashing.running = false
	return true
}

// conclude compares the digest of the whole.
func (t *table) conclude() error {
	d := digest.NewDigest(t.key.Digest.Algorithm(), t.hashing.hash)
	if d != t.key.Digest {
		return t.fail(fmt.Sprintf("all of it is %s", d))
	}
	t.mu.Lock()
	t.trust = verified
	t.mu.Unlock()
	t.cache.wrong.forgive(t.key)
	t.finish()
	return nil
}
