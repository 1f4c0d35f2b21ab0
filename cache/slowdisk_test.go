package cache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// While writing to the disk takes for ever nobody waits for it, but once for a second.
// The time is the test's own (synctest).
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(40<<20, 93))
		c := open(t, Options{Dir: t.TempDir(), Memory: 8 << 20})
		mend := make(chan struct{})
		defer close(mend)
		for range queueWriters {
			c.disk.queue.put(func() { <-mend }, func() {})
		}
		began := time.Now()
		mustRead(t, c, s.key(), s, s.content)
		if took := time.Since(began); took != queuePatience {
			t.Errorf("it took %v, and should %v", took, queuePatience)
		}
	})
}

// A disk that doesn't answer a read leaves the reader free to go.
func TestInterruptedWhileTheDiskIsRead(t *testing.T) {
	s := newSource(random(largeSize, 94))
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mustRead(t, c, s.key(), s, s.content)
	shut(t, c)
	c = open(t, Options{Dir: dir})
	r, _ := reader(t, c, s.key(), s)
	if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	store := r.table.store
	store.mu.Lock() // as long as it is held nobody can note the store's use
	store.touched.Store(0)
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, interrupt)
	_, err := r.ReadAt(ctx, make([]byte, 10), 5<<20) // which else never ends
	store.mu.Unlock()
	if err != context.Canceled { //nolint:errorlint // it must be the same
		t.Error(err)
	}
}

// Who waits for the disk, as Options.WaitForDisk says, and then for what it reads, waits no
// longer than others. The time is the test's own (synctest).
func TestWaitingForTheDiskCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(random(largeSize, 84))
		s.hold = func(ctx context.Context, _ int, _ int64) error {
			<-ctx.Done()
			return ctx.Err()
		}
		o := Options{Dir: t.TempDir(), WaitForDisk: true, Timeout: time.Minute}
		c := open(t, o)
		r, _ := reader(t, c, s.key(), s)
		disk := newFlight()
		r.table.disk.closing = disk
		begun := time.Now()
		time.AfterFunc(o.Timeout, func() { disk.land(nil, nil) })
		if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 2*o.Timeout {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
