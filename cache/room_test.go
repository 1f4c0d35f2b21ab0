package cache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// onDisk are the entries that are there, by path, and what each takes.
func onDisk(t testing.TB, d *disk) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for _, pattern := range []string{"blobs/*/*", "partial/*", "indexes/*"} {
		paths, err := filepath.Glob(filepath.Join(d.root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			all[path] = sizeOn(path)
		}
	}
	return all
}

// age sets when an entry was used last.
func age(t testing.TB, path string, at time.Time) {
	t.Helper()
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, sumsName)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// TestEvictionAgainstAModel fills a directory at random, and evicts again and
// again: what goes is what a list by the time of use says, and never what somebody
// has open.
func TestEvictionAgainstAModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			c := open(t, Options{Dir: dir, Memory: 1 << 20})
			counted(c)
			other := open(t, Options{Dir: dir, Memory: 1 << 20})
			used := make(map[string]time.Time) // by path; the model
			pinned := make(map[string]bool)
			epoch := time.Now().Add(-time.Hour)
			for i := range 30 {
				at := epoch.Add(time.Duration(rng.Int64N(int64(50 * time.Minute))))
				before := onDisk(t, c.disk)
				content := random(SmallBlob+rng.IntN(1<<20)+1, seed<<8|uint64(i))
				switch kind := rng.IntN(8); {
				case kind < 3:
					s := newSource(content[:1+rng.IntN(200_000)])
					mustRead(t, c, s.key(), s, s.content)
				case kind < 5:
					c.PutIndex(fmt.Sprintf("index-%d", i), content[:1+rng.IntN(200_000)])
				case kind < 6:
					s := newSource(content)
					mustRead(t, c, s.key(), s, s.content)
				default: // a partial, which may stay open
					s := newSource(content)
					who := []*Cache{c, other}[rng.IntN(2)]
					r, done := reader(t, who, s.key(), s)
					if _, err := r.ReadAt(t.Context(), make([]byte, ChunkSize), 0); err != nil {
						t.Fatal(err)
					}
					settled(who)
					if rng.IntN(2) == 0 {
						pinned[who.disk.partial(s.key())] = true
					} else {
						done()
					}
				}
				settled(c)
				for path := range onDisk(t, c.disk) {
					if _, ok := before[path]; !ok {
						age(t, path, at)
						used[path] = at
					}
				}
			}
			// Some are used again.
			for path := range used {
				if rng.IntN(4) == 0 {
					used[path] = used[path].Add(5 * time.Minute)
					age(t, path, used[path])
				}
			}
			for round := 0; len(used) > len(pinned); round++ {
				total := int64(0)
				for _, size := range onDisk(t, c.disk) {
					total += size
				}
				c.disk.limit = total - 1 - rng.Int64N(total/4)
				c.disk.room.none = time.Time{}
				c.disk.room.oldest = nil // the model knows no better either
				c.disk.usage.correct(total - c.disk.usage.now())
				want := model(onDisk(t, c.disk), used, pinned, total, c.disk.limit)
				found := c.disk.room.find()
				got := onDisk(t, c.disk)
				if !slices.Equal(keys(got), keys(want)) {
					t.Fatalf("round %d: left are\n%v\nand should be\n%v\npinned: %v", round, keys(got), keys(want), pinned)
				}
				left := int64(0)
				for _, size := range got {
					left += size
				}
				if found != (left <= c.disk.limit) || c.disk.usage.now() != left {
					t.Fatalf("round %d: %d bytes are left and counted as %d, the limit is %d, and there is room: %v", round, left, c.disk.usage.now(), c.disk.limit, found)
				}
				for path := range used {
					if _, ok := got[path]; !ok {
						delete(used, path)
					}
				}
				if !found {
					break
				}
			}
		})
	}
}

// model is what is left of some entries: the oldest go first, until a part of the
// limit is free, and those that are pinned stay.
func model(there map[string]int64, used map[string]time.Time, pinned map[string]bool, total, limit int64) map[string]int64 {
	order := keys(there)
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(used[a].Compare(used[b]), cmp.Compare(a, b)) })
	for _, path := range order {
		if total <= limit-limit/lowWater {
			break
		}
		if !pinned[path] {
			total -= there[path]
			delete(there, path)
		}
	}
	return there
}

func keys(m map[string]int64) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// What is used between being found and being evicted stays.
func TestUsedMeanwhileStays(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir()})
	counted(c)
	old := time.Now().Add(-time.Hour)
	path := func(i int) string { return filepath.Join(c.disk.root, "indexes", fmt.Sprint("index", i)) }
	for i := range 4 {
		c.PutIndex(fmt.Sprint("index", i), random(100_000, uint64(i)))
		age(t, path(i), old.Add(time.Duration(i)*time.Minute))
	}
	r := &c.disk.room
	r.mu.Lock()
	r.look()
	r.mu.Unlock()
	if _, ok := c.Index("index0"); !ok { // which notes it
		t.Fatal("it isn't there")
	}
	c.disk.limit = 350_000
	if !r.find() {
		t.Error("there is no room")
	}
	if got := keys(onDisk(t, c.disk)); !slices.Contains(got, path(0)) || slices.Contains(got, path(1)) {
		t.Errorf("left are %v", got)
	}
}

// All who use a directory keep its bound together, at every moment.
func TestBoundIsHeldByAllTogether(t *testing.T) {
	const limit = 24 << 20
	dir := smallDisk(t, "128m") // which knows at any time what it takes
	var caches []*Cache
	for range 4 {
		caches = append(caches, open(t, Options{Dir: dir, Size: limit, Memory: 1 << 20}))
	}
	stop := make(chan struct{})
	var watch, all sync.WaitGroup
	use := func() int64 {
		size, free := caches[0].disk.room.space()
		return size - free
	}
	most := int64(0)
	watch.Go(func() {
		for {
			most = max(most, use())
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	for i, c := range caches {
		all.Go(func() {
			for k := range 4 {
				s := newSource(random(6<<20+i, uint64(100+10*i+k)))
				mustRead(t, c, s.key(), s, s.content)
				small := newSource(random(300_000, uint64(200+10*i+k)))
				mustRead(t, c, small.key(), small, small.content)
			}
		})
	}
	all.Wait()
	for _, c := range caches {
		settled(c)
	}
	close(stop)
	watch.Wait()
	// The sums take whole pages, and what is being written while somebody looks
	// through the directory isn't seen.
	slack := int64(256<<10 + len(caches)*queueWriters*ChunkSize)
	if most = max(most, use()); most > limit+slack {
		t.Errorf("%d bytes were on disk, and the bound is %d", most, limit)
	}
	if use() < limit/2 {
		t.Errorf("only %d of %d bytes are used", use(), limit)
	}
	if n := caches[0].Stats().DiskBytes; n < 0 || n > limit {
		t.Errorf("the bytes are counted as %d", n)
	}
}

// When room is made, more is made than is needed at once.
func TestRoomToSpareIsMade(t *testing.T) {
	const limit = 16 << 20
	c := open(t, Options{Dir: t.TempDir(), Size: limit})
	looks := 0
	for i := range 200 {
		before := c.Stats().Evictions
		c.PutIndex(fmt.Sprint("index", i), random(200_000, uint64(i)))
		if use := c.Stats().DiskBytes; use > limit {
			t.Fatalf("%d bytes are on disk, and the bound is %d", use, limit)
		}
		if c.Stats().Evictions > before {
			looks++
			if use := c.Stats().DiskBytes; use > limit-limit/lowWater+400_000 {
				t.Errorf("%d bytes are left when room was made", use)
			}
		}
	}
	// 40 MB pass through a bound of 16 MiB: each time a sixteenth goes.
	if looks == 0 || looks > 40 {
		t.Errorf("room was made %d times", looks)
	}
	if s := c.Stats(); s.EvictedBytes < s.Evictions*200_000 || s.EvictedBytes > s.Evictions*210_000 {
		t.Errorf("%d indexes of 200,000 bytes were evicted, and %d bytes", s.Evictions, s.EvictedBytes)
	}
}

// A blob that doesn't fit takes its share and keeps what came last; the others stay.
func TestBlobThatIsLargerThanTheCache(t *testing.T) {
	const limit = 16 << 20
	small, s := newSource(random(1<<20, 80)), newSource(random(40<<20, 81))
	c := open(t, Options{Dir: t.TempDir(), Size: limit, Memory: 1 << 20, WaitForDisk: true})
	mustRead(t, c, small.key(), small, small.content)
	c.PutIndex("index", []byte("x"))
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // it never fails
	r := b.Exact()  // nothing is fetched ahead, in several requests at once: what is read last comes last
	defer r.Close() //nolint:errcheck // it never fails
	p := make([]byte, 1<<20)
	for off := 0; off < len(s.content); off += len(p) {
		if _, err := r.ReadAt(t.Context(), p, int64(off)); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, p, s.content[off:][:len(p)])
	}
	settled(c)
	if use := sizeOn(c.disk.partial(s.key())); use > limit/4+1<<20 || use < limit/8 {
		t.Errorf("it takes %d bytes of %d", use, limit)
	}
	before := s.fetches()
	if _, err := r.ReadAt(t.Context(), p, int64(len(s.content)-len(p))); err != nil {
		t.Fatal(err)
	}
	if n := s.fetches() - before; n != 0 {
		t.Errorf("what came last was fetched again, %d times", n)
	}
	if _, ok := c.CachedSize(small.key().Digest); !ok {
		t.Error("a small blob is gone for it")
	}
	if _, ok := c.Index("index"); !ok {
		t.Error("an index is gone for it")
	}
}

// Open looks through the directory only where nobody has counted it.
func TestOpenLooksThroughNothing(t *testing.T) {
	dir, _, _ := filled(t)
	used := filepath.Join(dir, formatVersion, "used")
	right, err := os.ReadFile(used)
	if err != nil {
		t.Fatal(err)
	}
	count := func() int64 {
		c := open(t, Options{Dir: dir})
		if err := c.Close(); err != nil { // which waits for it
			t.Fatal(err)
		}
		return c.disk.usage.now()
	}
	// A number that isn't right stays if the file says that it was counted.
	odd := binary.NativeEndian.AppendUint64(nil, 12345)
	odd = binary.NativeEndian.AppendUint64(odd, usageKnown)
	if err := os.WriteFile(used, odd, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 12345 {
		t.Errorf("it was counted again: %d", n)
	}
	d := &disk{root: filepath.Join(dir, formatVersion)}
	want := int64(0)
	for _, size := range onDisk(t, d) {
		want += size
	}
	if n := int64(binary.NativeEndian.Uint64(right)); n < want-64<<10 || n > want+64<<10 {
		t.Errorf("%d bytes were counted as %d while they were written", want, n)
	}
	for name, content := range map[string][]byte{
		"missing": nil,
		"empty":   {},
		"cut":     odd[:12],
		"garbage": bytes.Repeat([]byte{0xaa}, usageSize),
		"unknown": make([]byte, usageSize),
	} {
		if err := errors.Join(os.Remove(used), os.WriteFile(used, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		if name == "missing" {
			if err := os.Remove(used); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(); n != want {
			t.Errorf("%s: %d bytes are counted as %d", name, want, n)
		}
	}
}

// A file system that gets full is the bound, and others' files are left room.
func TestFileSystemIsTheBound(t *testing.T) {
	dir := smallDisk(t, "64m")
	c := open(t, Options{Dir: dir, Memory: 1 << 20})
	for i := range 16 {
		s := newSource(random(6<<20, uint64(300+i)))
		mustRead(t, c, s.key(), s, s.content)
		settled(c)
		if size, free := c.disk.room.space(); free < size/keepFree-checkFree/16 {
			t.Fatalf("blob %d: %d of %d bytes are free", i, free, size)
		}
	}
	last := newSource(random(6<<20, 315))
	if _, ok := c.CachedSize(last.key().Digest); !ok {
		t.Error("the last one isn't kept")
	}
	if n := c.Stats().Evictions; n < 5 || n > 16 {
		t.Errorf("%d evictions", n)
	}
}
