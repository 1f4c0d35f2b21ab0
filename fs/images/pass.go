package images

import (
	"context"
	"fmt"
)

// A pass is one layer that is being opened, and the room that this takes. It asks for
// more as what it holds grows, and gives back all of that when it ends.
//
// Passes that all wait for each other's room would wait for ever: so the first that
// needs more than there is while it goes on is given what isn't there, until it ends.
// New ones leave three quarters of the room to those that grow and to who applies layers,
// or half of it where they are two, so that it seldom comes to that. More at once wouldn't
// be done sooner: a few keep the processors busy, and all of them share the connections.
// They would only hold more. Nobody else waits behind them.
//
// A pass that waits for the first bytes of its layer has taken nothing: those of a
// registry that doesn't answer take none from others.
type pass struct {
	room  *room
	taken int64 // guarded by room.mu
}

func (r *room) pass() *pass { return &pass{room: r} }

// take takes n bytes more: it is archive.Source.Room. What a pass needs more of than
// there is at all is refused.
func (p *pass) take(ctx context.Context, n int64, wait bool) error {
	r := p.room
	w := &waiting{bytes: n, pass: p, ready: make(chan struct{})}
	r.mu.Lock()
	if p.taken+n > r.size {
		defer r.mu.Unlock()
		return fmt.Errorf("opening the layer takes more than %d MiB of memory, %d are allowed: %w", p.taken>>20, r.size>>20, errRoom)
	}
	if !wait {
		defer r.mu.Unlock()
		r.give(p, n)
		return nil
	}
	r.wait(w)
	r.mu.Unlock()
	return r.await(ctx, w)
}

// has tells whether there is room for who waits, or it may go beyond it.
//
// r.mu is held.
func (r *room) has(w *waiting) bool {
	switch {
	case w.pass == nil:
		return r.taken+w.bytes <= r.size
	case w.new():
		n := r.taken + w.bytes
		return r.taken == 0 || n <= r.size/4 || n <= r.size/2 && r.begun < 2
	case r.taken+w.bytes <= r.size:
		return true
	case r.beyond == nil:
		r.beyond = w.pass
	}
	return r.beyond == w.pass
}

// give gives a pass n bytes.
//
// r.mu is held.
func (r *room) give(p *pass, n int64) {
	if p.taken == 0 {
		r.begun++
	}
	p.taken += n
	r.add(n)
}

// end gives back what the pass has.
func (p *pass) end() {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	n := p.taken
	if n > 0 {
		r.begun--
	}
	if p.taken = 0; r.beyond == p {
		r.beyond = nil
	}
	r.giveBack(n)
}
