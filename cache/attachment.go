package cache

import (
	"errors"
	"time"
)

// attachPatience is how long a reader waits for the disk to say what it has of a
// blob, before the blob is read without; unless it waits for the disk, as
// Options.WaitForDisk says: what comes before the disk is there isn't put on it.
const attachPatience = 2 * time.Second

// An attachment is how far a table and the disk have come.
type attachment struct {
	attached bool
	opening  *flight // under way
	closing  *flight // of the store before, which has the lock of the partial
}

// attach looks what is on disk, unless it is known. It gives up with the reader,
// and otherwise after attachPatience: then the store is there when it is. Who waits
// for the disk gets errLate when the disk takes too long for any reader.
func (t *table) attach(p *patience) error {
	disk := t.cache.disk
	t.mu.Lock()
	if disk == nil || t.key.Local || t.disk.attached || t.users == 0 || t.cache.ctx.Err() != nil {
		t.mu.Unlock()
		return nil
	}
	fl := t.disk.opening
	if fl == nil {
		fl = newFlight()
		t.disk.opening = fl
		t.users++
		closing := t.disk.closing
		if !t.cache.work.run(func() { t.open(disk, fl, closing) }) {
			t.disk.opening, t.users = nil, t.users-1
			t.mu.Unlock()
			return errClosed
		}
	}
	t.mu.Unlock()
	waits := t.cache.options.WaitForDisk
	turn := p // all in all it waits no longer
	if !waits {
		turn = &patience{ctx: p.ctx, limit: min(attachPatience, p.limit)}
		defer turn.end()
	}
	if _, err := turn.wait(fl); err != nil && (waits || !errors.Is(err, errLate)) {
		return err
	}
	return nil
}

// open is the goroutine of an attachment.
func (t *table) open(disk *disk, fl, closing *flight) {
	defer t.leave()
	if closing != nil {
		<-closing.done
	}
	store, complete := disk.open(t.key)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.disk.attached, t.disk.opening = true, nil
	t.store, t.complete = store, complete
	// Where chunks have come before, they too must match.
	if complete && !t.seen && t.handed == 0 && t.trust != failed {
		t.trust = verified
	}
	fl.land(nil, nil)
}

// detach lets go of the disk: what it returns is called without the lock. t.mu
// is held, and nobody uses t.
func (t *table) detach() func() {
	store := t.store
	t.disk.attached, t.store, t.complete, t.kept = false, nil, false, nil
	// What another process does meanwhile isn't known.
	for _, page := range t.chunks.m {
		for i := range page {
			page[i].where = unlooked
		}
	}
	if store == nil {
		return func() {}
	}
	fl := newFlight()
	t.disk.closing = fl
	return func() {
		store.close()
		t.mu.Lock()
		defer t.mu.Unlock()
		fl.land(nil, nil)
	}
}
