package cache

import (
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// What is read of a file of tensors, and in which order, is about what is fetched,
// in few requests.
func TestWhatIsReadIsWhatIsFetched(t *testing.T) {
	const tensor, count = 5 << 20, 100
	every := func(n int) (starts []int64) {
		for i := int64(0); i < count; i += int64(n) {
			starts = append(starts, i*tensor)
		}
		return starts
	}
	backwards := func(s []int64) []int64 { slices.Reverse(s); return s }
	for name, tc := range map[string]struct {
		starts []int64
		read   func(off int64) []int64 // the order within one, by pages
		most   float64                 // fetched of touched
		asks   int
	}{
		"every fifth":            {every(5), ascending, 1.3, 120},
		"every fifth, backwards": {backwards(every(5)), ascending, 1.3, 120},
		"each backwards":         {every(5), descending, 1.3, 150},
		// What is ahead when the reading ends comes on top of these two: a quarter of
		// the memory, and what its connections have under way.
		"one shard":   {every(1)[:20], ascending, 1.45, 80},
		"small skips": {every(1)[:20], skipping, 1.45, 110},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(nil)
			s.zeros = tensor * count
			s.latency = 2 * time.Millisecond
			c := open(t, Options{Memory: 128 << 20})
			r, done := reader(t, c, Key{Origin: "registry.example", Digest: digest.FromString(name), Size: s.zeros}, s)
			touched := make(map[int64]bool)
			p := make([]byte, page)
			for _, start := range tc.starts {
				for _, off := range tc.read(start) {
					if _, err := r.ReadAt(t.Context(), p, off); err != nil {
						t.Fatal(err)
					}
					touched[off/ChunkSize] = true
				}
			}
			done()
			settled(c)
			total, _ := s.bytesSent()
			all := int64(len(touched)) * ChunkSize
			t.Logf("%d MiB fetched for %d, in %d requests", total>>20, all>>20, s.fetches())
			if float64(total) > tc.most*float64(all) {
				t.Errorf("%d bytes were fetched for %d", total, all)
			}
			if n := s.fetches(); n > tc.asks {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// page is how much a kernel asks for at once.
const page = 128 << 10

func ascending(off int64) (all []int64) {
	for end := off + 5<<20; off < end; off += page {
		all = append(all, off)
	}
	return all
}

func descending(off int64) []int64 {
	all := ascending(off)
	slices.Reverse(all)
	return all
}

// skipping leaves out every third page.
func skipping(off int64) (all []int64) {
	for i, off := range ascending(off) {
		if i%3 != 2 {
			all = append(all, off)
		}
	}
	return all
}

// Several sequences in one file, as those of several threads, are each read ahead.
func TestSequencesInOneFile(t *testing.T) {
	s := newSource(nil)
	s.zeros = 400 << 20
	c := open(t, Options{Memory: 128 << 20})
	r, done := reader(t, c, Key{Origin: "registry.example", Digest: digest.FromString("x"), Size: s.zeros}, s)
	const threads, length = 4, 32 << 20
	for at := int64(0); at < length; at += page {
		for i := range int64(threads) {
			if _, err := r.ReadAt(t.Context(), make([]byte, page), i*100<<20+at); err != nil {
				t.Fatal(err)
			}
		}
	}
	done()
	settled(c)
	if total, _ := s.bytesSent(); total > threads*length*3/2 {
		t.Errorf("%d MiB were fetched for %d", total>>20, threads*length>>20)
	}
	// Who never waits, since the source is that fast, has half a MiB fetched at a time; the
	// first chunks, before it is known to be a sequence, and the last window come on top.
	if n := s.fetches(); n > threads*(2*length>>20+4) {
		t.Errorf("%d requests for %d MiB", n, threads*length>>20)
	}
}
