package cache

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// While writing to the disk takes for ever nobody waits for it.
func TestSlowDisk(t *testing.T) {
	s := newSource(random(40<<20, 93))
	c := open(t, Options{Dir: t.TempDir(), Memory: 8 << 20})
	mend := make(chan struct{})
	var once sync.Once
	defer once.Do(func() { close(mend) })
	for range queueWriters {
		c.disk.queue.put(func() { <-mend }, func() {})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err := readAll(t, c, s.key(), s, 1<<20)
		if err != nil || !bytes.Equal(got, s.content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("a reader waits for the disk")
	}
	once.Do(func() { close(mend) })
	<-done
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
	began := time.Now()
	_, err := r.ReadAt(ctx, make([]byte, 10), 5<<20)
	took := time.Since(began)
	store.mu.Unlock()
	if err != context.Canceled || took > 10*time.Second { //nolint:errorlint // it must be the same
		t.Errorf("after %v: %v", took, err)
	}
}
