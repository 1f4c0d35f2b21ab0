package cache

import "time"

// A source may ignore ranges and send the whole blob for each request. A run
// then becomes a stream: it brings every chunk as it passes, and nobody sends
// another request for a chunk that is still ahead of it.

// maxStreams bounds the streams of one blob. There are several only where what
// one has passed can't be kept, and somebody goes back to it.
const maxStreams = 4

// become makes r a stream. table.mu is held.
func (r *run) become() {
	r.table.rangeless = true
	r.stream = true
	r.last = r.table.grid.chunks() - 1
}

// streamTo is the stream that gets to chunk i first; nil if there shall be
// another one. Where there are enough it is one that ends before chunk i comes:
// whoever waits looks again then. t.mu is held.
func (t *table) streamTo(i int) *run {
	var best, ending, resting, busy *run
	streams := 0
	for r := range t.runs {
		if !r.stream {
			continue
		}
		streams++
		switch {
		case r.ctx.Err() != nil:
			ending = r
		case r.next <= i:
			if best == nil || r.next > best.next {
				best = r
			}
		case r.idle():
			resting = r
		default:
			busy = r
		}
	}
	switch {
	case best != nil || streams < maxStreams:
		return best
	case ending != nil:
		return ending
	case resting != nil: // it makes room for another
		resting.cancel(errAgain)
		return resting
	}
	return busy
}

// takes is told what r was sent: the whole blob, or what it asked for. false is that r
// shall end, because a stream brings what r was to bring.
func (r *run) takes(whole bool) bool {
	t := r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !whole:
		t.ranged = true
		return true
	case r.stream:
		return true
	}
	t.rangeless = true
	if r.leaves() {
		return false
	}
	r.next = 0
	r.become()
	return true
}

// leaves leaves to a stream what r was to bring, if one does, or has. table.mu is held.
func (r *run) leaves() bool {
	first, ok := r.owes()
	return !ok || r.leaveTo(r.table.streamTo(first))
}

// owes is the first chunk that somebody has r bring; false if a stream that passed
// has brought them all. table.mu is held.
func (r *run) owes() (first int, ok bool) {
	for i, fl := range r.table.flights {
		if fl.run == r && !fl.landed() && (!ok || i < first) {
			first, ok = i, true
		}
	}
	return first, ok
}

// leaveTo leaves to a stream what r was to bring; false if there is no other.
// table.mu is held.
func (r *run) leaveTo(stream *run) bool {
	if stream == nil || stream == r {
		return false
	}
	for i, fl := range r.table.flights {
		if fl.run == r && !fl.landed() {
			fl.run = stream
			stream.want(i)
		}
	}
	return true
}

// pace is the chunk that comes next, see more, once r may go on to it. It keeps a
// stream from running away from its readers where a chunk that falls out of memory
// would have to be streamed again: while what it brought last couldn't be put on disk
// and nobody waits for what comes, the stream rests, for Options.Timeout at most.
func (r *run) pace(last int) (i int, more bool, err error) {
	t := r.table
	var idle *time.Timer
	for {
		t.mu.Lock()
		i, more = r.more(last)
		rests := more && r.rests()
		t.mu.Unlock()
		if !rests {
			return i, more, nil
		}
		if idle == nil {
			idle = time.NewTimer(t.cache.options.Timeout)
			defer idle.Stop()
		}
		select {
		case <-r.wake:
		case <-idle.C:
			return i, false, errAgain
		case <-r.ctx.Done():
			return i, false, r.ctx.Err()
		}
	}
}

// rests says whether r is a stream that is to wait before it brings more. table.mu is
// held.
func (r *run) rests() bool {
	t := r.table
	ahead := int(t.cache.options.Memory / (4 * (ChunkSize + itemCost)))
	if !r.stream || r.next == 0 || r.next <= max(r.demand, r.filled)+ahead {
		return false
	}
	before := r.next - 1
	return t.whereIs(before) != sure && (t.store == nil || t.flights[before] == nil)
}
