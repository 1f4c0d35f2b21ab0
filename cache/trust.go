package cache

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// ErrDigest is the error of content that doesn't match its digest, or the size
// that its descriptor gives.
var ErrDigest = errors.New("content doesn't match its digest")

// trust is what may be believed of a large blob's content. There is one for all
// of it: no part of a blob has a digest.
type trust uint8

const (
	// unknown content is handed out, except for its last chunk: see handOut.
	unknown trust = iota
	// suspect content isn't handed out before all of it is verified. What the
	// same origin sent under this digest before was wrong: a program may have got
	// the error for a part that it didn't look at (a kernel reads ahead), and
	// must not be able to go on. Or it was verified, and a part of it got lost.
	suspect
	// verified content matches its digest, every byte of it that this table has
	// given and will give.
	verified
	// failed content doesn't. A table never leaves this: what is fetched next is
	// another content, with another table and another generation.
	failed
)

// handOut says whether chunk i may be given to a reader, and notes that it is;
// false means that all of the content must be verified first.
//
// The rule: what isn't verified is handed out only as long as another chunk
// has never been handed out. So a program that has read every byte, in
// whatever order and with whatever evictions in between, has got its last
// chunk after the digest was checked, and each chunk it got before is the one
// that went into that check, because a chunk that comes again must be the same.
func (t *table) handOut(i int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.chunks.at(i)
	handed := t.handed
	if !c.handed && !t.handedAll {
		handed++
	}
	switch {
	case t.trust == failed:
		return false, t.err
	case t.trust == suspect, t.trust == unknown && handed == t.grid.chunks():
		return false, nil
	}
	c.handed, t.handed = true, handed
	return true, nil
}

// handAll notes that a reader may get every chunk without asking again; false if
// the content isn't verified, or not all on disk. What is fetched in place of a chunk that gets lost
// is then handed out only after all of it is verified again.
func (t *table) handAll() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trust == verified && t.complete {
		t.handed = t.grid.chunks()
		t.handedAll = true
	}
	return t.handedAll
}

// recognise compares a chunk that came with the one that came before; false if
// it differs. A chunk of verified content that nobody has seen, and that doesn't
// come from verified content itself, makes all of it suspect: nothing unverified is
// given of what was said to be verified. What has been hashed stands: those chunks have
// been seen, and must be the same if they come again. t.mu is held.
func (t *table) recognise(i int, sum uint64, fromVerified bool) bool {
	c := t.chunks.at(i)
	if c.sum != 0 {
		return c.sum == sum
	}
	if t.trust == verified && !fromVerified {
		t.trust = suspect
	}
	c.sum, t.seen = sum, true
	return true
}

// fail ends the content, which is wrong: who has it open gets an error from now
// on, who opens it next gets another table. Before anybody is told, whoever else finds
// it out meanwhile among them, what is on disk of it is gone, and its origin is known
// for it.
func (t *table) fail(how string) error {
	t.failing.Do(func() { t.end(how) })
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// end is what fail does, once.
func (t *table) end(how string) {
	err := t.cache.blame(t.key, how)
	t.mu.Lock()
	t.err = err
	store, asked := t.store, t.asked
	t.mu.Unlock()
	passOver(asked)
	if store != nil {
		store.discard()
	}
	t.cache.tables.drop(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trust = failed
	for i, f := range t.flights {
		f.land(nil, err)
		delete(t.flights, i)
	}
	for r := range t.runs {
		r.cancel(err)
	}
}

// maxWrong bounds the keys of blobs that are remembered for having been wrong.
const maxWrong = 4096

// A wrongdoing is remembered while maxWrong later ones aren't, and counts no
// more when it is older than this.
const pardonAfter = 10 * time.Minute

// wrongdoings are the blobs that their origins sent wrong. The first times it may
// have been an accident, and the next who asks may have it fetched again at once:
// twice, since the first failure may be of a part that nobody looked at; a small
// blob, of which each reader finds out by itself, three times, and once more a
// second later. Then whoever asks is refused for minutes: a blob that is wrong
// stays wrong, and each try costs all of it.
type wrongdoings struct {
	now func() time.Time

	mu   sync.Mutex // guards what follows
	last *simplelru.LRU[Key, wrongdoing]
}

type wrongdoing struct {
	count int
	at    time.Time
	err   error
}

// refusals are how long nobody has it fetched again, by how often it was wrong.
var (
	refusals      = []time.Duration{0, 0, 2 * time.Minute}
	refusalsSmall = []time.Duration{0, 0, 0, time.Second, 2 * time.Minute}
)

func newWrongdoings() *wrongdoings {
	last, err := simplelru.NewLRU[Key, wrongdoing](maxWrong, nil)
	if err != nil {
		panic(err) // a constant positive size can't fail
	}
	return &wrongdoings{now: time.Now, last: last}
}

func (w *wrongdoings) add(k Key, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, _ := w.last.Get(k)
	if w.now().Sub(before.at) > pardonAfter {
		before.count = 0
	}
	w.last.Add(k, wrongdoing{count: before.count + 1, at: w.now(), err: err})
}

// forgive forgets a blob that turned out to be right.
func (w *wrongdoings) forgive(k Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last.Remove(k)
}

// known tells whether the blob was wrong before.
func (w *wrongdoings) known(k Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Contains(k)
}

// refusal is why the blob isn't fetched now, nil if it may be.
func (w *wrongdoings) refusal(k Key) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, ok := w.last.Get(k)
	after := refusals
	if k.Size <= SmallBlob {
		after = refusalsSmall
	}
	if !ok || w.now().Sub(was.at) >= after[min(was.count, len(after))-1] {
		return nil
	}
	return fmt.Errorf("not asked again, it was wrong %d times: %w", was.count, was.err)
}

// blame counts, logs and remembers a blob that is wrong, and is the error that
// its readers get.
func (c *Cache) blame(k Key, how string) error {
	err := fmt.Errorf("blob %s from %s: %w", k.Digest, k.Origin, ErrDigest)
	c.counts.wrongDigests.Add(1)
	c.wrong.add(k, err)
	c.log.Warn("a blob doesn't match its digest and is dropped",
		"digest", k.Digest, "size", k.Size, "origin", k.Origin, "how", how)
	return err
}
