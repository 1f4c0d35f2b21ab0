package cache

import (
	"container/list"
	"sync"
)

// tables are the tables of all large blobs: one for a key, until its content
// fails. It outlives those who have the blob open, as long as maxIdle others
// aren't used later: what was handed out must not be forgotten while a kernel
// keeps pages of it.
type tables struct {
	cache *Cache

	mu     sync.Mutex // guards what follows; taken before a table's mu
	lastID uint64
	byKey  map[Key]*table
	idle   *list.List // of *table that nobody uses, the latest first
	weight int        // what they cost, in chunks
}

// maxIdle and maxIdleChunks bound the tables that are remembered while nobody
// uses them: a table costs some 500 bytes, a chunk 16.
const (
	maxIdle       = 4096
	maxIdleChunks = 1 << 20
)

// open is the table of k, with one handle more.
func (ts *tables) open(k Key, unpacks bool) *table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byKey[k]; t != nil {
		ts.wake(t)
		t.hold()
		return t
	}
	ts.lastID++
	t := &table{
		cache:     ts.cache,
		key:       k,
		id:        ts.lastID,
		grid:      grid{k.Size},
		handles:   1,
		users:     1,
		flights:   make(map[int]*flight),
		runs:      make(map[*run]struct{}),
		unpacks:   unpacks,
		rangeless: unpacks,
	}
	if ts.cache.wrong.known(k) || ts.cache.options.Verify == VerifyFull {
		t.trust = suspect
	}
	ts.byKey[k] = t
	return t
}

// has tells whether there is a content of k that didn't fail.
func (ts *tables) has(k Key) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byKey[k] != nil
}

// rest keeps a table that nobody uses for a while, if it has anything to
// remember.
func (ts *tables) rest(t *table) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	used, weight := t.remembers()
	if used || ts.byKey[t.key] != t || t.rests != nil {
		return
	}
	if weight == 0 {
		delete(ts.byKey, t.key)
		return
	}
	t.rests, t.weight = ts.idle.PushFront(t), weight
	ts.weight += weight
	for ts.idle.Len() > maxIdle || ts.weight > maxIdleChunks {
		old := ts.idle.Back().Value.(*table)
		ts.wake(old)
		delete(ts.byKey, old.key)
	}
}

// wake takes a table from those that nobody uses. ts.mu is held.
func (ts *tables) wake(t *table) {
	if t.rests != nil {
		ts.idle.Remove(t.rests)
		ts.weight -= t.weight
		t.rests = nil
	}
}

// drop lets the next one who opens the blob start afresh.
func (ts *tables) drop(t *table) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byKey[t.key] == t {
		delete(ts.byKey, t.key)
	}
	ts.wake(t)
}

// all are those there are.
func (ts *tables) all() []*table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	list := make([]*table, 0, len(ts.byKey))
	for _, t := range ts.byKey {
		list = append(list, t)
	}
	return list
}
