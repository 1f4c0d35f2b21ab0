//go:build linux

package main

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// One at a time has a name's lock, others wait, and nothing is kept of a name that nobody
// wants.
func TestLocks(t *testing.T) {
	var all locks
	var counts [3]int // written by who has the lock: the race detector sees one that hasn't
	var takers sync.WaitGroup
	for i := range 300 {
		takers.Go(func() {
			which := i % len(counts)
			release, err := all.take(t.Context(), string(rune('a'+which)))
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			counts[which]++
		})
	}
	takers.Wait()
	if counts != [3]int{100, 100, 100} || len(all.of) != 0 {
		t.Errorf("%v, %d names are left", counts, len(all.of))
	}
}

// Who waits can be interrupted, and takes nothing with him.
func TestLockIsGivenUp(t *testing.T) {
	var all locks
	release, err := all.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("taken: %v", err)
	}
	other, err := all.take(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	release()
	again, err := all.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(all.of) != 0 {
		t.Errorf("%d names are left", len(all.of))
	}
}
