package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A queuer waits for slots and says in which order they were granted.
type queuer struct {
	t       *testing.T
	slots   *slots
	granted chan string
	waiting int
}

// ask waits in the queue; it returns once it does.
func (q *queuer) ask(owner, name string, wanted <-chan struct{}) (leave context.CancelFunc) {
	q.t.Helper()
	ctx, cancel := context.WithCancel(q.t.Context())
	p := newPatience(ctx, time.Hour)
	p.start()
	go func() {
		if _, err := q.slots.acquire(p, nil, &turn{owner: owner, wanted: wanted, patience: p}); err == nil {
			q.granted <- name
		}
	}()
	q.waiting++
	q.await(q.waiting)
	return cancel
}

// await waits until so many are queued.
func (q *queuer) await(n int) {
	for {
		q.slots.mu.Lock()
		queued := len(q.slots.queue)
		q.slots.mu.Unlock()
		if queued == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (q *queuer) release(owner string, want ...string) {
	q.t.Helper()
	(&slot{slots: q.slots, owner: owner}).release()
	got := make([]string, 0, len(want))
	for range want {
		got = append(got, <-q.granted)
	}
	q.waiting -= len(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		q.t.Errorf("%v were granted, want %v", got, want)
	}
}

// fill takes n slots.
func (q *queuer) fill(n int, owner string) {
	for range n {
		p := newPatience(q.t.Context(), time.Hour)
		if _, err := q.slots.acquire(p, nil, &turn{owner: owner, patience: p}); err != nil {
			q.t.Fatal(err)
		}
	}
}

func TestSlotsOrder(t *testing.T) {
	q := &queuer{t: t, slots: newSlots(2), granted: make(chan string, 10)}
	q.fill(2, "x")
	q.fill(1, "y") // the one beyond, for readers
	never, later := make(chan struct{}), make(chan struct{})
	q.ask("a", "ahead", never)
	q.ask("b", "caught up with", later)
	q.ask("x", "holds most", nil)
	q.ask("z", "first", nil)
	leave := q.ask("z", "gone", nil)
	q.ask("z", "second", nil)
	leave()
	q.waiting--
	q.await(q.waiting)
	q.release("x", "first")
	close(later)
	for demanded := 0; demanded < 3; {
		q.slots.mu.Lock()
		demanded = 0
		for _, w := range q.slots.queue {
			if w.demand {
				demanded++
			}
		}
		q.slots.mu.Unlock()
	}
	q.release("x", "caught up with") // b and now x hold none; b came first
	q.release("y", "holds most")
	q.release("z", "second")
	q.release("b")
	select {
	case name := <-q.granted:
		t.Errorf("%s was granted the slot that is kept for readers", name)
	default:
	}
	q.release("x", "ahead")
}

// Reading ahead leaves room for readers.
func TestSlotsForReaders(t *testing.T) {
	q := &queuer{t: t, slots: newSlots(4), granted: make(chan string, 10)}
	never := make(chan struct{})
	for i := range 4 {
		p := newPatience(t.Context(), time.Hour)
		if _, err := q.slots.acquire(p, nil, &turn{owner: fmt.Sprint(i), wanted: never, patience: p}); err != nil {
			t.Fatal(err)
		}
	}
	q.ask("0", "fifth", never)
	q.fill(2, "reader")
	q.ask("reader", "third", nil)
	q.release("1", "third")
	q.release("2")
	q.release("3")
	q.release("reader", "fifth")
}

// What is near its end makes room for one who reads ahead, within what all may have.
func TestSlotsNearTheirEnd(t *testing.T) {
	q := &queuer{t: t, slots: newSlots(4), granted: make(chan string, 10)}
	granted := func(want string, left int) {
		t.Helper()
		if got := <-q.granted; got != want {
			t.Errorf("%s was granted, not %s", got, want)
		}
		q.waiting--
		q.await(left)
	}
	q.fill(4, "x")
	never := make(chan struct{})
	q.ask("a", "first", never)
	q.ask("b", "second", never)
	q.ask("c", "third", never)
	ending, other := &slot{slots: q.slots, owner: "x"}, &slot{slots: q.slots, owner: "x"}
	ending.end()
	granted("first", 2)
	ending.end() // counts once
	other.end()  // the slot that is left is for readers
	q.await(2)
	ending.release()
	granted("second", 1)
	other.release()
	q.await(1)
	over := &slot{slots: q.slots, owner: "a"}
	over.release()
	granted("third", 0)
	q.ask("d", "fourth", never)
	over.end()
	q.await(1)
}

// The time in the queue doesn't count while nobody waits. The time is the test's own
// (synctest).
func TestSlotsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		q := &queuer{t: t, slots: s}
		q.fill(2, "x")
		ahead := newPatience(t.Context(), 10*time.Millisecond)
		ahead.start()
		wanted, asked := make(chan struct{}), make(chan error)
		ask := func(ctx context.Context, stop, wanted <-chan struct{}) {
			_, err := s.acquire(ctx, stop, &turn{owner: "a", wanted: wanted, patience: ahead})
			asked <- err
		}
		go ask(ahead, nil, wanted)
		select {
		case err := <-asked:
			t.Errorf("it ended while nobody waited: %v", err)
		case <-time.After(time.Hour):
		}
		close(wanted)
		wantIs(t, <-asked, context.DeadlineExceeded)

		stop := make(chan struct{})
		go ask(t.Context(), stop, nil)
		q.await(1)
		close(stop)
		if err := <-asked; !errors.Is(err, errStopped) {
			t.Errorf("error %v", err)
		}
		q.await(0)
	})
}
