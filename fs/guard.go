package fs

import (
	"fmt"
	"runtime/debug"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A bug costs the request that meets it, and not the mount with all that is
// open: wherever code of a mount runs, a panic becomes an error here, and its
// stack a line in the log.

// panicked logs what a deferred function recovered, with the stack, which is
// still that of the panic.
func (t *tree) panicked(what any) error {
	t.log.Error("panic", "panic", fmt.Sprint(what), "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", what)
}

// panicStatus answers a request of the kernel whose handler panicked.
func (t *tree) panicStatus(what any) fuse.Status {
	_ = t.panicked(what) // the log has it
	return fuse.EIO
}

// guarded is do with an error in the place of a panic.
func (t *tree) guarded(do func() error) func() error {
	return func() (err error) {
		defer func() {
			if what := recover(); what != nil {
				err = t.panicked(what)
			}
		}()
		return do()
	}
}

// run runs do in a goroutine of its own, which close waits for, and then ended
// with do's error. false is that the tree is closed and nothing runs. There is
// no other way to start a goroutine under a tree, but for groups of guarded
// functions that somebody waits for.
func (t *tree) run(do func() error, ended func(error)) bool {
	if !t.begin() {
		return false
	}
	go func() {
		defer t.running.Done()
		ended(t.guarded(do)())
	}()
	return true
}
