package images

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// However many layers are indexed at once, new ones begin in a part of the room, and all
// together take what there is, and one of them some more. All are opened in the end.
func TestPassesWithinRoom(t *testing.T) {
	const passes = 12
	w := newWorkplace(t, minMemory)
	w.room.patience = time.Hour
	var group sync.WaitGroup
	var blobs []*testBlob
	for i := range passes {
		var files []named
		for k := range 4000 {
			files = append(files, named{fmt.Sprintf("%s/%d/%d", strings.Repeat("n", 100), k, i), noise(t, 100)})
		}
		b := newBlob(gzipOf(t, tarOf(t, files...)))
		b.let(512, nil) // a pass begins and is held up
		blobs = append(blobs, b)
		m := w.image(fmt.Sprint("app", i), b)
		group.Go(func() {
			if _, err := m.Tree(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for settled := 0; settled < passes; {
		settled = 0
		for _, b := range blobs {
			if b.asked.Load() > 1 {
				settled++
			}
		}
		w.room.mu.Lock()
		settled += len(w.room.waiting)
		w.room.mu.Unlock()
	}
	if taken := w.lent.Load(); taken > w.room.size/2 || taken < w.room.size/8 {
		t.Errorf("%d MiB are taken by passes that have begun, of %d", taken>>20, w.room.size>>20)
	}
	for _, b := range blobs {
		b.let(len(b.data), nil)
	}
	group.Wait()
	const one = 12 << 20 // about what one of these passes takes
	if most := w.most.Load(); most > w.room.size+w.holds+one {
		t.Errorf("%d MiB were taken at once, of %d", most>>20, w.room.size>>20)
	}
}

// One of the passes that need more than there is goes on, however often it needs more,
// and the others when it has ended.
func TestOnePassGoesBeyond(t *testing.T) {
	r := newRoom(100, func(int64) {})
	r.patience = time.Hour
	first, second := r.pass(), r.pass()
	for _, p := range []*pass{first, second} {
		if err := p.take(t.Context(), 50, true); err != nil {
			t.Fatal(err)
		}
		if r.taken > 50 {
			break
		}
		r.size *= 4 // so that both begin
	}
	r.size = 100
	if err := first.take(t.Context(), 20, true); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() { waits <- second.take(t.Context(), 20, true) }()
	for queued := 0; queued == 0; {
		r.mu.Lock()
		queued = len(r.waiting)
		r.mu.Unlock()
	}
	if err := first.take(t.Context(), 20, true); err != nil { // it isn't behind the second
		t.Fatal(err)
	}
	first.end()
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if second.end(); r.taken != 0 || r.beyond != nil {
		t.Errorf("%d bytes are taken in the end", r.taken)
	}
}

// Who applies layers doesn't wait behind passes that haven't begun.
func TestNewPassesHoldNobodyUp(t *testing.T) {
	r := newRoom(100, func(int64) {})
	r.patience = time.Hour
	if err := r.pass().take(t.Context(), 30, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- r.pass().take(ctx, 30, true) }()
	for queued := 0; queued == 0; {
		r.mu.Lock()
		queued = len(r.waiting)
		r.mu.Unlock()
	}
	if _, ok := r.try(40); !ok {
		t.Error("what is there isn't given at once")
	}
	if _, err := r.take(t.Context(), "an image", 30); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || r.taken != 100 {
		t.Errorf("the new pass: %v, %d bytes are taken", err, r.taken)
	}
}

// What nobody gives back for a while is held up: then others go on without.
func TestPassesThatAreHeldUp(t *testing.T) {
	r := newRoom(100, func(int64) {})
	r.patience = time.Millisecond
	for range 5 {
		if err := r.pass().take(t.Context(), 50, true); err != nil {
			t.Fatal(err)
		}
	}
	// Who leaves while it waits has nothing, and nobody waits behind it for ever.
	r.patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.pass().take(ctx, 50, true); !errors.Is(err, context.Canceled) || len(r.waiting) > 0 {
		t.Errorf("who left got %v", err)
	}
	if err := r.pass().take(t.Context(), 101, true); !errors.Is(err, errRoom) {
		t.Errorf("more than there is at all: %v", err)
	}
	if err := r.pass().take(t.Context(), 50, false); err != nil || r.taken != 300 {
		t.Errorf("who can't wait: %v, %d bytes are taken", err, r.taken)
	}
}
