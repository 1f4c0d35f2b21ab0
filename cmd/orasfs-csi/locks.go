//go:build linux

package main

import (
	"context"
	"sync"
)

// locks are a lock for each name, which exists while somebody has or wants it. Who
// waits for one can be interrupted.
type locks struct {
	mu sync.Mutex // guards of
	of map[string]*lock
}

type lock struct {
	held chan struct{} // has an element while somebody holds it
	used int           // by how many, guarded by locks.mu
}

// take takes the lock of a name, and returns what gives it back.
func (l *locks) take(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.of == nil {
		l.of = make(map[string]*lock)
	}
	one := l.of[name]
	if one == nil {
		one = &lock{held: make(chan struct{}, 1)}
		l.of[name] = one
	}
	one.used++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.used--; one.used == 0 {
			delete(l.of, name)
		}
	}
	select {
	case one.held <- struct{}{}:
		return func() { <-one.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
