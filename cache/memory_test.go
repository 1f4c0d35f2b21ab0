package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// BenchmarkMemoryHitRate compares what memory has of what is asked for with what a
// plain LRU of the same size would have: in per cent, by the way of asking.
func BenchmarkMemoryHitRate(b *testing.B) {
	const size, items, steps = 64 << 20, 1024, 40_000 // of 256 KiB: four times what fits
	zipf := func() func() int {
		r := rand.New(rand.NewPCG(1, 2))
		z := rand.NewZipf(r, 1.1, 4, items-1)
		return func() int { return int(z.Uint64()) } //nolint:gosec // below items
	}
	ways := map[string]func() func() int{
		"often": zipf,
		"oftenBesideScan": func() func() int { // programs that use some files while another reads one large one
			z, n := zipf(), 0
			return func() int {
				if n++; n%2 == 0 {
					return items + n
				}
				return z()
			}
		},
		"around": func() func() int { // one that reads more than fits, again and again
			n := -1
			return func() int { n++; return n % items }
		},
	}
	for way, begin := range ways {
		b.Run(way, func(b *testing.B) {
			for b.Loop() {
				m, err := newMemory(size)
				if err != nil {
					b.Fatal(err)
				}
				lru, err := simplelru.NewLRU[int, []byte](size/(ChunkSize+itemCost), nil)
				if err != nil {
					b.Fatal(err)
				}
				data := make([]byte, ChunkSize)
				next := begin()
				var hits, lruHits int
				for range steps {
					i := next()
					if _, ok := m.get(chunkKey(1, i)); ok {
						hits++
					} else {
						m.set(chunkKey(1, i), data)
					}
					if _, ok := lru.Get(i); ok {
						lruHits++
					} else {
						lru.Add(i, data)
					}
				}
				m.close()
				b.ReportMetric(100*float64(hits)/steps, "%hits")
				b.ReportMetric(100*float64(lruHits)/steps, "%LRU")
			}
		})
	}
}
