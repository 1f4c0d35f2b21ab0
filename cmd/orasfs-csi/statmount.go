//go:build linux

package main

import (
	"context"
	"errors"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// errSilent is that a mount doesn't answer.
var errSilent = errors.New("the process that serves it doesn't answer")

// questions are those that mounts haven't answered yet, by the mount's id: one that
// hangs may never, and is asked once, however often somebody wants to know.
type questions struct {
	mu sync.Mutex // guards of
	of map[int]*question
}

// A question is what a mount holds.
type question struct {
	done chan struct{}
	st   unix.Statfs_t // once done is closed
	err  error
}

var asked = questions{of: make(map[int]*question)}

// statMount asks a mount what it holds. It is ENOTCONN where the process that served it
// has ended, and errSilent where ctx ends before the mount answers.
func statMount(ctx context.Context, m *mountinfo.Info) (unix.Statfs_t, error) {
	q := asked.ask(m)
	select {
	case <-q.done:
		return q.st, q.err
	case <-ctx.Done():
		return unix.Statfs_t{}, errors.Join(errSilent, context.Cause(ctx))
	}
}

func (all *questions) ask(m *mountinfo.Info) *question {
	all.mu.Lock()
	defer all.mu.Unlock()
	if q := all.of[m.ID]; q != nil {
		return q
	}
	q := &question{done: make(chan struct{})}
	all.of[m.ID] = q
	go func() { // for as long as the mount hangs: nothing interrupts it
		q.err = unix.Statfs(m.Mountpoint, &q.st)
		for errors.Is(q.err, unix.EINTR) { // by a child that ended
			q.err = unix.Statfs(m.Mountpoint, &q.st)
		}
		// Who asked just before the process ended is told so in other words: EIO where it
		// was being given the question just then. orasfs itself answers with neither.
		if errors.Is(q.err, unix.ECONNABORTED) || errors.Is(q.err, unix.EIO) {
			q.err = unix.ENOTCONN
		}
		all.mu.Lock()
		delete(all.of, m.ID)
		all.mu.Unlock()
		close(q.done)
	}()
	return q
}
