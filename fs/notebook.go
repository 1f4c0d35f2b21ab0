package fs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

const (
	// maxKeeping bounds the things of one kind that wait to be noted on disk. What finds
	// no place is asked for again, or isn't there while the registry is down.
	maxKeeping = 1024
	// credentialWait is how long a credential is waited for to note what was
	// shown with it: an unmount waits for that.
	credentialWait = 2 * time.Second
)

// A notebook has things noted on disk in the background: nobody waits for the disk,
// or for a credential.
type notebook[T any] struct {
	tree *tree
	// write notes a batch. Its context goes on after the mount's end: what came before
	// is noted all the same.
	write func(ctx context.Context, batch []T)

	mu      sync.Mutex // guards what follows
	pending []T
	writing bool
}

// add has one more thing noted.
func (n *notebook[T]) add(thing T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) >= maxKeeping {
		return
	}
	n.pending = append(n.pending, thing)
	if n.writing {
		return
	}
	n.writing = n.tree.run(func() error {
		for n.writePending() { //nolint:revive // until nothing is left
		}
		return nil
	}, func(err error) {
		if err != nil { // of a panic
			n.mu.Lock()
			defer n.mu.Unlock()
			n.writing = false
		}
	})
}

// writePending notes what is pending; false once that is nothing.
func (n *notebook[T]) writePending() bool {
	n.mu.Lock()
	batch := n.pending
	n.pending, n.writing = nil, len(batch) > 0
	n.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	n.tree.evidence.keepKey()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.tree.ctx), credentialWait)
	defer cancel()
	n.write(ctx, batch)
	return true
}

// entryName is the name of a cache's entry that nobody can tell who doesn't know the
// words and has the key.
func (e *evidence) entryName(prefix string, words ...string) string {
	mac := hmac.New(sha256.New, e.key())
	mac.Write([]byte(strings.Join(words, "\x00")))
	return prefix + hex.EncodeToString(mac.Sum(nil))
}
