package cache

import (
	"errors"
	"testing"
	"time"
)

// A blob that is wrong for good, and large, is remembered for it: looks at it
// don't fetch all of it each time.
func TestWrongBlobIsRememberedForMinutes(t *testing.T) {
	const size = 32 << 20
	s, k := lying(random(size, 91), size-1)
	c := open(t, Options{Dir: t.TempDir()})
	now := time.Now()
	c.wrong.now = func() time.Time { return now }
	look := func() {
		t.Helper()
		b, err := c.Blob(k, s)
		if err == nil {
			r := b.Reader()
			_, err = r.ReadAt(t.Context(), make([]byte, 4096), 0)
			err = errors.Join(err, r.Close(), b.Close())
		}
		if !errors.Is(err, ErrDigest) {
			t.Errorf("a look: %v", err)
		}
		settled(c)
	}
	if _, err := readAll(t, c, k, s, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatal(err)
	}
	for range 5 {
		now = now.Add(100 * time.Millisecond)
		look()
	}
	if total, _ := s.bytesSent(); total > 3*size {
		t.Errorf("%d bytes were fetched in a second, for a blob of %d", total, size)
	}
	now = now.Add(time.Second)
	for range 10 {
		now = now.Add(10 * time.Second)
		look()
	}
	if total, _ := s.bytesSent(); total > 3*size {
		t.Errorf("%d bytes were fetched in minutes, for a blob of %d", total, size)
	}
	// Long after that it is as if it had never been wrong.
	now = now.Add(2 * pardonAfter)
	before, _ := s.bytesSent()
	look()
	look()
	if total, _ := s.bytesSent(); total < before+2*size {
		t.Errorf("%d bytes were fetched long after that", total-before)
	}
	now = now.Add(2 * pardonAfter)
	mustRead(t, c, k, newSource(random(size, 91)), random(size, 91))
}

// A small one, which is found out by each reader alone, is asked for three times.
func TestWrongSmallBlobIsRememberedForMinutes(t *testing.T) {
	s, k := lying(random(1000, 92), 5)
	c := open(t, Options{})
	now := time.Now()
	c.wrong.now = func() time.Time { return now }
	for range 10 {
		now = now.Add(100 * time.Millisecond)
		if _, err := readPart(t, c, k, s, 0, 10); !errors.Is(err, ErrDigest) {
			t.Errorf("got %v", err)
		}
	}
	if n := s.fetches(); n != 4 {
		t.Errorf("%d fetches in a second", n)
	}
	for range 10 {
		now = now.Add(10 * time.Second)
		_, _ = readPart(t, c, k, s, 0, 10)
	}
	if n := s.fetches(); n > 5 {
		t.Errorf("%d fetches in minutes", n)
	}
	now = now.Add(pardonAfter)
	mustRead(t, c, k, newSource(random(1000, 92)), random(1000, 92))
}

// A blob that was wrong and then right is asked for again at once when it is wrong
// once more.
func TestForgivenIsForgotten(t *testing.T) {
	content := random(largeSize, 98)
	bad, k := lying(content, 5)
	c := open(t, Options{})
	now := time.Now()
	c.wrong.now = func() time.Time { return now }
	if _, err := readAll(t, c, k, bad, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatal(err)
	}
	mustRead(t, c, k, newSource(content), content)
	if c.wrong.known(k) {
		t.Error("it is still known for being wrong")
	}
}

// Whoever finds out that a blob is wrong, while another is at it, is told when it is
// gone: what he opens then is another content.
func TestTwoFindOutAtOnce(t *testing.T) {
	s := newSource(random(largeSize, 113))
	c := open(t, Options{Dir: t.TempDir()})
	r, _ := reader(t, c, s.key(), s)
	if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	table := r.table
	store := table.store
	store.mu.Lock() // as long as it is held nothing of it can be removed
	told := make(chan bool)
	find := func() {
		_ = table.fail("a test")
		told <- c.tables.has(s.key())
	}
	go find()
	for failing := false; !failing; {
		table.mu.Lock()
		failing = table.err != nil
		table.mu.Unlock()
	}
	go find()
	time.Sleep(50 * time.Millisecond) // longer is as good
	store.mu.Unlock()
	for range 2 {
		if <-told {
			t.Error("one is told, and the next one who opens it gets the same")
		}
	}
}
