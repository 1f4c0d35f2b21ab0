package cache

import (
	"errors"
	"io"
	"testing"
	"time"
)

// checkedReader is a reader of one who has digests of its own.
func checkedReader(t testing.TB, c *Cache, k Key, f Fetcher) *Reader {
	t.Helper()
	b, err := c.Blob(k, f)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Checked()
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// once has a source send a wrong chunk at first, and the right one later.
func once(s *source, chunk int) {
	told := 0
	s.fault = func(_ int, off, n int64) (fault, error) {
		if at := int64(chunk)*ChunkSize + lieAt; off > at || off+n <= at {
			return fault{}, nil
		}
		told++
		return fault{lie: func(i int) byte {
			if i == chunk && told == 1 {
				return 1
			}
			return 0
		}}, nil
	}
}

// What was wrong once is had again at once, and costs a range of the blob, not all
// of it; after a restart too.
func TestDoubtedBytesAreFetchedAgain(t *testing.T) {
	content := random(32<<20, 101)
	const at, n = 5*ChunkSize + 100, 1000
	for _, restarts := range []bool{false, true} {
		s := newSource(content)
		k := s.key()
		once(s, 5)
		dir := t.TempDir()
		c := open(t, Options{Dir: dir})
		got := make([]byte, ChunkSize)
		r := checkedReader(t, c, k, s)
		if _, err := r.ReadAt(t.Context(), got, 5*ChunkSize); err != nil || got[lieAt] == content[5*ChunkSize+lieAt] {
			t.Fatalf("nothing is wrong, or %v", err)
		}
		if restarts {
			settled(c)
			c = open(t, Options{Dir: dir})
			r = checkedReader(t, c, k, s)
			if _, err := r.ReadAt(t.Context(), got, 5*ChunkSize); err != nil || s.fetches() != 1 {
				t.Fatalf("after a restart: %v, %d fetches", err, s.fetches())
			}
		}
		if err := r.Doubt(t.Context(), at, n); !errors.Is(err, ErrDigest) {
			t.Fatalf("the doubt: %v", err)
		}
		if _, err := r.ReadAt(t.Context(), got, 0); !errors.Is(err, ErrDigest) {
			t.Errorf("who had it open before reads on: %v", err)
		}
		again := checkedReader(t, c, k, s)
		if _, err := again.ReadAt(t.Context(), got, 5*ChunkSize); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, got, content[5*ChunkSize:6*ChunkSize])
		if total, _ := s.bytesSent(); total != 3*ChunkSize {
			t.Errorf("%d bytes were fetched, want three chunks", total)
		}
		mustRead(t, c, k, s, content)
	}
}

// A source that always sends the same is asked once more, and then not for a
// second. What else is known of the blob stays.
func TestDoubtedBytesThatStayTheSame(t *testing.T) {
	content := random(largeSize, 102)
	s, k := lying(content, 5*ChunkSize)
	c := open(t, Options{Dir: t.TempDir()})
	now := time.Now()
	c.wrong.now = func() time.Time { return now }
	r := checkedReader(t, c, k, s)
	look := func() {
		t.Helper()
		if _, err := r.ReadAt(t.Context(), make([]byte, 100), 5*ChunkSize); err != nil {
			t.Error(err)
		}
	}
	look()
	settled(c)
	before := s.fetches()
	for range 3 {
		if err := r.Doubt(t.Context(), 5*ChunkSize, 100); err != nil {
			t.Error(err)
		}
	}
	if n := s.fetches() - before; n != 1 {
		t.Errorf("three doubts cost %d requests", n)
	}
	s.mu.Lock()
	s.ignores = true // all of the blob is as good an answer
	s.mu.Unlock()
	now = now.Add(lateness)
	if err := r.Doubt(t.Context(), 5*ChunkSize, 100); err != nil || s.fetches() != before+2 {
		t.Errorf("a second later: %v, %d requests", err, s.fetches()-before)
	}
	look()
	if s.fetches() != before+2 {
		t.Error("what is here was fetched again")
	}
}

// Nobody asks again for what is verified, for a small blob, or beyond the end; an
// error of the source is no proof.
func TestDoubtsWithoutCause(t *testing.T) {
	content := random(largeSize, 103)
	s := newSource(content)
	c := open(t, Options{Dir: t.TempDir()})
	mustRead(t, c, s.key(), s, content)
	before := s.fetches()
	if err := checkedReader(t, c, s.key(), s).Doubt(t.Context(), 0, largeSize); err != nil || s.fetches() != before {
		t.Errorf("verified: %v, %d requests", err, s.fetches()-before)
	}
	small := newSource(content[:1000])
	if err := checkedReader(t, c, small.key(), small).Doubt(t.Context(), 0, 1000); err != nil || small.fetches() > 0 {
		t.Errorf("small: %v", err)
	}
	other := newSource(random(largeSize, 104))
	r := checkedReader(t, c, other.key(), other)
	for _, part := range [][2]int64{{-1, 5}, {0, 0}, {largeSize, 1}, {0, largeSize + 1}} {
		if err := r.Doubt(t.Context(), part[0], part[1]); err != nil || other.fetches() > 0 {
			t.Errorf("%v: %v", part, err)
		}
	}
	gone := errors.New("gone")
	other.fault = func(int, int64, int64) (fault, error) { return fault{}, gone }
	if err := r.Doubt(t.Context(), 0, 10); !errors.Is(err, gone) || errors.Is(err, ErrDigest) {
		t.Errorf("a source that doesn't answer: %v", err)
	}
}

// Who has digests of its own gets what isn't verified, the last chunk and that of a
// blob that was wrong before among it; what a program gets is as strict as ever.
func TestCheckedReaderDoesntWait(t *testing.T) {
	content := random(largeSize, 105)
	bad, k := lying(content, 5)
	c := open(t, Options{Dir: t.TempDir()})
	if _, err := readAll(t, c, k, bad, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatal(err)
	}
	r := checkedReader(t, c, k, bad)
	p := make([]byte, 100)
	if _, err := r.ReadAt(t.Context(), p, 0); err != nil || p[5] == content[5] {
		t.Errorf("the wrong part: %v", err)
	}
	for off := int64(0); off < largeSize; off += ChunkSize {
		if _, err := r.ReadAt(t.Context(), p, off); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrDigest) {
			t.Errorf("at %d: %v", off, err)
		}
	}
	if _, err := readPart(t, c, k, bad, 0, 10); !errors.Is(err, ErrDigest) {
		t.Errorf("a program's first read of it: %v", err)
	}
	full := open(t, Options{Dir: t.TempDir(), Verify: VerifyFull})
	if _, err := checkedReader(t, full, k, bad).ReadAt(t.Context(), p, 0); !errors.Is(err, ErrDigest) {
		t.Errorf("where all is verified first: %v", err)
	}
}
