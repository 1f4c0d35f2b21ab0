package cache

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

func TestSecondReadFetchesNothing(t *testing.T) {
	for _, size := range []int{12, largeSize} {
		for _, dir := range []string{"", t.TempDir()} {
			s := newSource(random(size, 3))
			c := open(t, Options{Dir: dir})
			mustRead(t, c, s.key(), s, s.content)
			if total, _ := s.bytesSent(); total != int64(size) {
				t.Errorf("size %d: %d bytes sent", size, total)
			}
			before := s.fetches()
			mustRead(t, c, s.key(), s, s.content)
			if n := s.fetches() - before; n != 0 {
				t.Errorf("size %d, dir %q: the second read fetched %d times", size, dir, n)
			}
		}
	}
}

func TestRestartFetchesNothing(t *testing.T) {
	for _, size := range []int{12, largeSize} {
		s := newSource(random(size, 4))
		dir := t.TempDir()
		c := open(t, Options{Dir: dir})
		mustRead(t, c, s.key(), s, s.content)
		shut(t, c)
		c = open(t, Options{Dir: dir})
		if n, ok := c.CachedSize(s.key().Digest); !ok || n != int64(size) {
			t.Errorf("size %d: CachedSize is %d, %v", size, n, ok)
		}
		before := s.fetches()
		mustRead(t, c, s.key(), s, s.content)
		if n := s.fetches() - before; n != 0 {
			t.Errorf("size %d: after a restart %d fetches", size, n)
		}
		// Verified content is shared: another origin isn't asked either.
		k := s.key()
		k.Origin = "other.example"
		mustRead(t, c, k, s, s.content)
		if n := s.fetches() - before; n != 0 {
			t.Errorf("size %d: another origin was asked %d times", size, n)
		}
	}
}

func TestPartialIsResumed(t *testing.T) {
	for name, abandon := range map[string]bool{"closed": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			s := newSource(random(largeSize, 5))
			dir := t.TempDir()
			c := open(t, Options{Dir: dir})
			for _, i := range []int64{0, 7, 20, 36} {
				if _, err := readPart(t, c, s.key(), s, i*ChunkSize, 10); err != nil {
					t.Fatal(err)
				}
			}
			settled(c)
			if abandon {
				// What a killed process leaves is what is there now.
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				dir = copied
			} else {
				shut(t, c)
			}
			if _, ok := open(t, Options{Dir: t.TempDir()}).CachedSize(s.key().Digest); ok {
				t.Error("a partial blob has a size")
			}
			again := newSource(s.content)
			mustRead(t, open(t, Options{Dir: dir}), again.key(), again, s.content)
			total, _ := again.bytesSent()
			had := int64(3*ChunkSize + largeSize%ChunkSize)
			if want := largeSize - had; total != want {
				t.Errorf("%d bytes were fetched to complete it, want %d", total, want)
			}
		})
	}
}

func TestTwoReadersFetchEachChunkOnce(t *testing.T) {
	for kind, options := range kinds {
		if kind == "tinyMemory" || kind == "tinyDisk" {
			continue // they can't keep what they fetched
		}
		for _, ignores := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ignores=%v", kind, ignores), func(t *testing.T) {
				s := newSource(random(largeSize, 6))
				s.ignores = ignores
				o := options(t)
				o.Memory = 64 << 20
				c := open(t, o)
				var readers sync.WaitGroup
				for i := range 4 {
					readers.Go(func() {
						got, err := readAll(t, c, s.key(), s, 100_000<<i)
						if err != nil {
							t.Error(err)
						}
						if !bytes.Equal(got, s.content) {
							t.Error("wrong content")
						}
					})
				}
				readers.Wait()
				total, chunk := s.bytesSent()
				if total != largeSize || chunk != ChunkSize {
					t.Errorf("%d bytes were sent of %d, up to %d of one chunk", total, largeSize, chunk)
				}
			})
		}
	}
}

func TestMiddleReadFetchesOneChunk(t *testing.T) {
	s := newSource(random(64<<20, 7))
	c := open(t, Options{Dir: t.TempDir()})
	got, err := readPart(t, c, s.key(), s, 32<<20+100, 4096)
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, got, s.content[32<<20+100:][:4096])
	if _, err := readPart(t, c, s.key(), s, 64<<20-4096, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := readPart(t, c, s.key(), s, 0, 128<<10); err != nil {
		t.Fatal(err)
	}
	settled(c)
	if total, _ := s.bytesSent(); total != 3*ChunkSize || s.fetches() != 3 {
		t.Errorf("three looks fetched %d bytes in %d requests", total, s.fetches())
	}
}

func TestSequentialReadUsesFewRequests(t *testing.T) {
	s := newSource(random(64<<20, 8))
	c := open(t, Options{Dir: t.TempDir()})
	mustRead(t, c, s.key(), s, s.content)
	// 32 runs of 2 MiB; the first ones and the last ones are shorter.
	if n := s.fetches(); n > 64 {
		t.Errorf("%d requests for 64 MiB", n)
	}
	for _, call := range s.calls {
		if off, n := call[0], call[1]; off > minRequest && n < minRequest && off+n < 64<<20 {
			t.Errorf("%d bytes were asked for by themselves, at %d", n, off)
		}
	}
	if total, _ := s.bytesSent(); total != 64<<20 {
		t.Errorf("%d bytes were sent", total)
	}
}

// The readers of now share what may be read ahead, one that came late too, and one
// that doesn't read any more leaves its part to the others.
func TestReadAheadIsShared(t *testing.T) {
	b := budget{total: 64 << 20, who: make(map[*plan]time.Time)}
	first, late := new(plan), new(plan)
	if got := b.share(first); got != 64<<20 {
		t.Errorf("alone it has %d bytes", got)
	}
	if got := b.share(late); got != 32<<20 {
		t.Errorf("the second has %d bytes", got)
	}
	b.who[first] = time.Now().Add(-2 * restsAfter)
	b.swept = time.Time{}
	if got := b.share(late); got != 64<<20 {
		t.Errorf("the first rests, and the second has %d bytes", got)
	}
	b.leave(late)
	if got := b.share(first); got != 64<<20 {
		t.Errorf("the second is gone, and the first has %d bytes", got)
	}
}
