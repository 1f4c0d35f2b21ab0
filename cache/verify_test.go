package cache

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// lying returns a source whose content has one wrong byte, and the key of the
// right content.
func lying(content []byte, at int) (*source, Key) {
	k := newSource(content).key()
	wrong := bytes.Clone(content)
	wrong[at] ^= 1
	return newSource(wrong), k
}

func TestSmallBlobIsVerifiedBeforeItsFirstByte(t *testing.T) {
	for _, size := range []int{1, 12, ChunkSize + 1, SmallBlob} {
		content := random(size, 20)
		s, k := lying(content, size-1)
		c := open(t, Options{Dir: t.TempDir()})
		if got, err := readPart(t, c, k, s, 0, 1); !errors.Is(err, ErrDigest) || len(got) > 0 {
			t.Errorf("size %d: got %d bytes, %v", size, len(got), err)
		}
		if size := diskUse(t, c); size != 0 {
			t.Errorf("size %d: %d bytes of it are on disk", size, size)
		}
		mustRead(t, c, k, newSource(content), content)
	}
}

// orders are ways to read all chunks of a blob.
var orders = map[string]func(chunks []int){
	"forward":  func([]int) {},
	"backward": slices.Reverse[[]int],
	"random": func(chunks []int) {
		rand.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
	},
}

// readInOrder reads all of k in chunks, and returns the first error. With
// reopen each is read by a Reader of its own, the blob being closed in between.
func readInOrder(t *testing.T, c *Cache, k Key, f Fetcher, order func([]int), reopen bool) error {
	t.Helper()
	g := grid{k.Size}
	chunks := make([]int, g.chunks())
	for i := range chunks {
		chunks[i] = i
	}
	order(chunks)
	r, _ := reader(t, c, k, f)
	if reopen {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range chunks {
		var err error
		if reopen {
			_, err = readPart(t, c, k, f, g.offset(i), g.length(i))
		} else {
			_, err = r.ReadAt(t.Context(), make([]byte, g.length(i)), g.offset(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestNobodyReadsAllOfAWrongBlob(t *testing.T) {
	const size = SmallBlob + 3*ChunkSize/2 // of several chunks; more show no more
	content := random(size, 21)
	for kind, options := range kinds {
		for name, order := range orders {
			for _, at := range []int{5, size - 1} {
				for _, reopen := range []bool{false, true} {
					if testing.Short() && reopen != (at == 5) {
						continue // half of the pairs are enough for the race detector
					}
					t.Run(fmt.Sprintf("%s/%s/%d/reopen=%v", kind, name, at, reopen), func(t *testing.T) {
						t.Parallel()
						s, k := lying(content, at)
						c := open(t, options(t))
						if err := readInOrder(t, c, k, s, order, reopen); !errors.Is(err, ErrDigest) {
							t.Fatalf("got %v", err)
						}
						settled(c)
						if use := diskUse(t, c); use != 0 {
							t.Errorf("%d bytes of it are on disk", use)
						}
						good := newSource(content)
						if err := readInOrder(t, c, k, good, order, reopen); err != nil {
							t.Errorf("the right content after it: %v", err)
						}
						mustRead(t, c, k, good, content)
					})
				}
			}
		}
	}
}

func TestWrongBlobStaysWrongForWhoHasItOpen(t *testing.T) {
	content := random(largeSize, 22)
	s, k := lying(content, 5)
	c := open(t, Options{Dir: t.TempDir()})
	r, _ := reader(t, c, k, s)
	other, _ := reader(t, c, k, s)
	if _, err := r.ReadAt(t.Context(), make([]byte, largeSize), 0); !errors.Is(err, ErrDigest) {
		t.Fatalf("got %v", err)
	}
	before := s.fetches()
	for range 3 {
		if _, err := other.ReadAt(t.Context(), make([]byte, 10), 1<<20); !errors.Is(err, ErrDigest) {
			t.Errorf("got %v", err)
		}
	}
	if s.fetches() != before {
		t.Error("it was fetched again for those who have it open")
	}
	if n := c.Stats().WrongDigests; n != 1 {
		t.Errorf("%d wrong digests are counted", n)
	}
}

// A source that tells the truth once and lies when it is asked again, or the
// other way round, gets nothing wrong through either.
func TestSourceThatChangesItsMind(t *testing.T) {
	content := random(largeSize, 23)
	k := newSource(content).key()
	for name, lie := range map[string]func(timesAsked int) bool{
		"lies later": func(n int) bool { return n > 0 },
		"lies first": func(n int) bool { return n == 0 },
	} {
		for order, arrange := range orders {
			for _, dir := range []string{"", t.TempDir()} {
				t.Run(fmt.Sprintf("%s/%s/disk=%v", name, order, dir != ""), func(t *testing.T) {
					s := newSource(content)
					const victim = 5
					asked := 0
					s.fault = func(_ int, off, n int64) (fault, error) {
						if off <= victim*ChunkSize && off+n > victim*ChunkSize {
							asked++
							return fault{flip: lie(asked - 1)}, nil
						}
						return fault{}, nil
					}
					c := open(t, Options{Dir: dir, Size: 1 << 20, Memory: 1 << 20})
					var got [][]byte
					err := func() error {
						r, done := reader(t, c, k, s)
						defer done()
						chunks := make([]int, 37)
						for i := range chunks {
							chunks[i] = i
						}
						arrange(chunks)
						for range 2 {
							for _, i := range chunks {
								p := make([]byte, grid{k.Size}.length(i))
								if _, err := r.ReadAt(t.Context(), p, int64(i)*ChunkSize); err != nil {
									return err
								}
								if !bytes.Equal(p, content[i*ChunkSize:][:len(p)]) {
									got = append(got, p)
								}
							}
						}
						return nil
					}()
					if err == nil && len(got) > 0 {
						t.Error("all was read, with wrong bytes")
					}
					if err != nil && !errors.Is(err, ErrDigest) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
}

// Unverified bytes of one origin are never another's.
func TestOriginsAreApart(t *testing.T) {
	content := random(largeSize, 24)
	bad, k := lying(content, 100)
	c := open(t, Options{Dir: t.TempDir()})
	if _, err := readPart(t, c, k, bad, 0, 1000); err != nil {
		t.Fatal(err)
	}
	k.Origin = "good.example"
	good := newSource(content)
	got, err := readPart(t, c, k, good, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, got, content[:1000])
	mustRead(t, c, k, good, content)
}

// What a lying registry left on disk is found out after a restart too.
func TestWrongPartialIsFoundOutAfterARestart(t *testing.T) {
	content := random(largeSize, 25)
	bad, k := lying(content, 100)
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	if _, err := readPart(t, c, k, bad, 0, 1000); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
	c = open(t, Options{Dir: dir})
	good := newSource(content)
	if _, err := readAll(t, c, k, good, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatalf("got %v", err)
	}
	mustRead(t, c, k, good, content)
}

// A stream passes chunks that an earlier process left on disk. What it brings
// goes into the digest, so it is what must be on disk when the blob is complete,
// even if the checksums don't tell the two apart.
func TestStreamReplacesWhatAnEarlierProcessLeft(t *testing.T) {
	content := random(largeSize, 26)
	k := newSource(content).key()
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	left, _ := c.disk.open(k)
	wrong := sameChecksum(content[:ChunkSize])
	if bytes.Equal(wrong, content[:ChunkSize]) || left.write(0, wrong) != nil {
		t.Fatal("no wrong chunk")
	}
	left.close()
	shut(t, c)
	s := newSource(content)
	s.ignores = true
	c = open(t, Options{Dir: dir})
	if _, err := readPart(t, c, k, s, 5<<20, 10); err != nil {
		t.Fatal(err)
	}
	mustRead(t, c, k, s, content)
	shut(t, c)
	c = open(t, Options{Dir: dir})
	if _, ok := c.CachedSize(k.Digest); !ok {
		t.Fatal("the blob isn't complete")
	}
	mustRead(t, c, k, newSource(nil), content)
}

// sameChecksum is another chunk with the CRC-32C of data: CRCs are linear, so
// adding the generator polynomial anywhere doesn't change them.
func sameChecksum(data []byte) []byte {
	const generator = 0x1EDC6F41 // of CRC-32C, without its x^32
	other := bytes.Clone(data)
	bit := func(i int) { other[i/8] ^= 1 << (i % 8) } // reflected: bit 0 comes first
	bit(1000)
	for i := range 32 {
		if generator>>(31-i)&1 == 1 {
			bit(1001 + i)
		}
	}
	return other
}

func TestVerifyFullGivesNothingUnverified(t *testing.T) {
	content := random(largeSize, 27)
	bad, k := lying(content, largeSize-1)
	for _, dir := range []string{"", t.TempDir()} {
		c := open(t, Options{Dir: dir, Verify: VerifyFull})
		if got, err := readPart(t, c, k, bad, 0, 10); !errors.Is(err, ErrDigest) || len(got) > 0 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		good := newSource(content)
		if _, err := readPart(t, c, k, good, 0, 10); err != nil {
			t.Error(err)
		}
		if total, _ := good.bytesSent(); total != largeSize {
			t.Errorf("%d bytes were fetched before the first was served", total)
		}
	}
}

// A complete blob of which a chunk got lost is verified anew as a whole, since
// a checksum alone doesn't vouch for what a registry sends in its place.
func TestLostChunkOfACompleteBlob(t *testing.T) {
	content := random(largeSize, 29)
	k := newSource(content).key()
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mustRead(t, c, k, newSource(content), content)
	shut(t, c)
	damage := func(c *Cache) { flipByte(t, filepath.Join(c.disk.blob(k.Digest), dataName), 3*ChunkSize+50) }

	c = open(t, Options{Dir: dir})
	damage(c)
	bad := newSource(bytes.Clone(content))
	copy(bad.content[3*ChunkSize:], sameChecksum(content[3*ChunkSize:4*ChunkSize]))
	if _, err := readAll(t, c, k, bad, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatalf("got %v", err)
	}
	good := newSource(content)
	mustRead(t, c, k, good, content)
	shut(t, c)

	c = open(t, Options{Dir: dir})
	damage(c)
	good = newSource(content)
	mustRead(t, c, k, good, content)
	if total, _ := good.bytesSent(); total != ChunkSize {
		t.Errorf("%d bytes were fetched for one damaged chunk", total)
	}
}

// A program may overlook an error: it was for a part that a kernel read ahead,
// or another process got it. What it asks for again must not be taken from a
// fresh start and so complete the wrong content.
func TestOverlookedErrorDoesNotCompleteAWrongBlob(t *testing.T) {
	s, k := lying(random(largeSize, 25), 5)
	c := open(t, Options{Dir: t.TempDir()})
	// Whoever asks comes long after the one before, so that nobody is refused.
	later := time.Now()
	c.wrong.now = func() time.Time {
		later = later.Add(pardonAfter)
		return later
	}
	got := 0
	for off := int64(0); off < largeSize; off += ChunkSize {
		for range 2 {
			p, err := readPart(t, c, k, s, off, int(min(ChunkSize, largeSize-off)))
			if err == nil {
				got += len(p)
				break
			}
		}
	}
	if got == largeSize {
		t.Error("every byte of a wrong blob was given to somebody")
	}
	good := newSource(random(largeSize, 25))
	mustRead(t, c, k, good, good.content)
}

// What was said to be verified stays so: when a part of it is lost, and what its
// source sends for it is wrong, nobody is given that, whatever he leaves unread.
func TestVerifiedContentStaysVerified(t *testing.T) {
	content := random(largeSize, 99)
	k := newSource(content).key()
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mustRead(t, c, k, newSource(content), content)
	shut(t, c)
	c = open(t, Options{Dir: dir})
	flipByte(t, filepath.Join(c.disk.blob(k.Digest), dataName), 3*ChunkSize+50)
	bad := newSource(bytes.Clone(content))
	bad.content[3*ChunkSize] ^= 1
	b, err := c.Blob(k, bad)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Reader()
	if err := b.Look(t.Context()); err != nil || !b.Verified() {
		t.Fatalf("it isn't verified: %v", err)
	}
	if n, err := r.ReadAt(t.Context(), make([]byte, 100), 3*ChunkSize); n > 0 || !errors.Is(err, ErrDigest) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Error(err)
	}
}
