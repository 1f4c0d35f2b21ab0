package cache

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// What is on its way is told, with the parts that are here: in memory, on disk, and
// from before a restart.
func TestFetching(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			const size, half = 40 * ChunkSize, 20 * ChunkSize // a part is a chunk
			s := newSource(random(size, 11))
			c := open(t, Options{Dir: dir, Concurrency: 1})
			r, done := reader(t, c, s.key(), s)
			defer done()
			p := make([]byte, ChunkSize)
			if _, err := r.ReadAt(t.Context(), p, 0); err != nil {
				t.Fatal(err)
			}
			asked, answer := make(chan struct{}), make(chan struct{})
			s.mu.Lock()
			s.hold = func(ctx context.Context, _ int, _ int64) error {
				close(asked)
				select {
				case <-answer:
				case <-ctx.Done():
				}
				return nil
			}
			s.mu.Unlock()
			for len(c.Fetching()) > 0 {
				time.Sleep(time.Millisecond) // what brought the first chunk ends
			}
			var reading sync.WaitGroup
			reading.Go(func() {
				if _, err := r.ReadAt(t.Context(), make([]byte, ChunkSize), half); err != nil {
					t.Error(err)
				}
			})
			<-asked
			got := c.Fetching()
			if len(got) != 1 {
				t.Fatalf("on its way: %+v", got)
			}
			f := got[0]
			if f.Origin != s.key().Origin || f.Digest != s.key().Digest || f.Size != size || f.Here != ChunkSize || f.Requests != 1 || f.Since.IsZero() || f.Rate <= 0 {
				t.Errorf("on its way: %+v", f)
			}
			for i, n := range f.Parts {
				if want := int64(0); i == 0 && n != ChunkSize || i > 0 && n != want {
					t.Errorf("part %d has %d bytes", i, n)
				}
			}
			close(answer)
			reading.Wait()
			if st := c.Stats(); st.Misses != 2 || st.MemoryBytes < 2*ChunkSize {
				t.Errorf("counted: %+v", st)
			}
		})
	}
}

// What a process before has left on disk is here, although nobody has looked at it.
func TestFetchingAfterRestart(t *testing.T) {
	const size = 200 * ChunkSize
	s := newSource(random(size, 12))
	o := Options{Dir: t.TempDir(), Concurrency: 1}
	c := open(t, o)
	if _, err := readPart(t, c, s.key(), s, size-4*ChunkSize, 4*ChunkSize); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
	asked, answer := make(chan struct{}), make(chan struct{})
	s.hold = func(context.Context, int, int64) error {
		close(asked)
		<-answer
		return nil
	}
	c = open(t, o)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer close(answer)
	r, done := reader(t, c, s.key(), s)
	defer done()
	reading.Go(func() {
		if _, err := r.ReadAt(t.Context(), make([]byte, ChunkSize), 0); err != nil {
			t.Error(err)
		}
	})
	<-asked
	f := c.Fetching()
	if len(f) != 1 || f[0].Here != 4*ChunkSize || f[0].Parts[FetchingParts-1] != 4*ChunkSize {
		t.Errorf("on its way: %+v", f)
	}
}

// A small blob is told while it is on its way.
func TestFetchingSmall(t *testing.T) {
	c := open(t, Options{})
	content := []byte("a manifest")
	d := digest.FromBytes(content)
	asked, answer := make(chan struct{}), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		if _, err := c.Document(t.Context(), "registry.example", d, func(context.Context) ([]byte, error) {
			close(asked)
			<-answer
			return content, nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-asked
	if f := c.Fetching(); len(f) != 1 || f[0].Digest != d || f[0].Origin != "registry.example" || f[0].Size != 0 {
		t.Errorf("on its way: %+v", f)
	}
	close(answer)
	reading.Wait()
	if f := c.Fetching(); len(f) != 0 {
		t.Errorf("nothing is on its way, and %+v is told", f)
	}
	if s := c.Stats(); s.Misses != 1 || s.MemoryBytes < int64(len(content)) {
		t.Errorf("counted: %+v", s)
	}
}

// However a blob is cut, its parts have all of it.
func TestFetchingParts(t *testing.T) {
	for _, size := range []int64{SmallBlob + 1, 40*ChunkSize - 1, maxBlob} {
		f := Fetching{Size: size}
		for i := range int64(7) {
			f.add(size*i/7, size*(i+1)/7)
		}
		var all int64
		for i, n := range f.Parts {
			if all += n; n < size/FetchingParts-1 || n > size/FetchingParts+1 || f.Filled()[i] != 1 {
				t.Errorf("part %d of %d bytes has %d, and is filled to %f", i, size, n, f.Filled()[i])
			}
		}
		if all != size || f.Here != size {
			t.Errorf("the parts of %d bytes have %d, and %d are here", size, all, f.Here)
		}
	}
}

// A rate is that of what comes at a constant pace, and fades when nothing does.
func TestRate(t *testing.T) {
	var r rate
	now := time.Now()
	for range 300 {
		now = now.Add(100 * time.Millisecond)
		r.add(100, now)
	}
	if got := r.now(now); got < 950 || got > 1050 {
		t.Errorf("a rate of %f, not some 1000", got)
	}
	if got := r.now(now.Add(time.Minute)); got > 1 {
		t.Errorf("a rate of %f a minute later", got)
	}
}
