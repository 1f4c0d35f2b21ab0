package cache

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// FetchingParts is how many Fetching.Parts there are.
const FetchingParts = 40

// A Fetching is a blob of which something is on its way.
type Fetching struct {
	Origin string
	Digest digest.Digest
	// Size is the blob's, in bytes; 0 is one of at most SmallBlob bytes, which comes
	// whole. What follows is of larger ones alone.
	Size     int64
	Here     int64                // bytes that are in memory or on disk
	Parts    [FetchingParts]int64 // of them, those in each of so many equal parts of the blob
	Requests int                  // under way
	Since    time.Time            // when the oldest of them began
	Rate     float64              // bytes a second, in the last seconds
}

// Fetching is what is on its way now: the blobs that began to come first, and then
// the small ones. What is only unpacked isn't among it.
func (c *Cache) Fetching() []Fetching {
	var large, small []Fetching
	for _, t := range c.tables.all() {
		if f, ok := t.fetching(); ok {
			large = append(large, f)
		}
	}
	slices.SortFunc(large, func(a, b Fetching) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Digest, b.Digest)) })
	c.smalls.mu.Lock()
	for key, f := range c.smalls.byKey {
		if i := strings.LastIndexByte(key, ' '); i >= 0 && !f.landed() {
			small = append(small, Fetching{Origin: key[:i], Digest: digest.Digest(key[i+1:])})
		}
	}
	c.smalls.mu.Unlock()
	slices.SortFunc(small, func(a, b Fetching) int { return cmp.Compare(a.Digest, b.Digest) })
	return append(large, small...)
}

// fetching is what of a table is on its way; false is nothing.
func (t *table) fetching() (Fetching, bool) {
	f := Fetching{Origin: t.key.Origin, Digest: t.key.Digest, Size: t.key.Size}
	t.mu.Lock()
	for r := range t.runs {
		if unpacks(r.fetcher) {
			continue
		}
		if f.Requests++; f.Since.IsZero() || r.began.Before(f.Since) {
			f.Since = r.began
		}
	}
	if f.Requests == 0 {
		t.mu.Unlock()
		return f, false
	}
	f.Rate = t.arriving.now(time.Now())
	t.users++ // the store stays
	known := slices.Collect(maps.Keys(t.chunks.m))
	t.mu.Unlock()
	defer t.leave()
	seen := make(map[int]bool, len(known))
	for _, page := range known {
		seen[page] = true
		t.countHere(&f, page)
	}
	if all := (t.grid.chunks() + pageLen - 1) / pageLen; all <= maxLookedFor {
		for page := range all {
			if !seen[page] {
				t.countHere(&f, page)
			}
		}
	}
	return f, true
}

// maxLookedFor is up to how many pages of chunks the disk is asked for those that
// nobody has looked at, 64 GiB: more would take too long.
const maxLookedFor = 4096

// countHere adds what is here of a page of chunks.
func (t *table) countHere(f *Fetching, page int) {
	have, count := t.keptOf(page)
	t.mu.Lock()
	id := t.id
	for k := range count {
		fl := t.flights[page*pageLen+k]
		have[k] = have[k] || fl != nil && fl.landed() && fl.data != nil
	}
	t.mu.Unlock()
	for k := range count {
		if i := page*pageLen + k; have[k] || t.cache.memory.has(chunkKey(id, i)) {
			f.add(t.grid.offset(i), t.grid.offset(i+1))
		}
	}
}

// add has the bytes from one offset to another among those that are here.
func (f *Fetching) add(from, to int64) {
	f.Here += to - from
	for from < to {
		part := from * FetchingParts / f.Size // both are far below 1<<57
		end := min(to, f.partAt(part+1))
		f.Parts[part] += end - from
		from = end
	}
}

// partAt is where a part begins: not all are equal to a byte.
func (f *Fetching) partAt(part int64) int64 { return (part*f.Size + FetchingParts - 1) / FetchingParts }

// Filled is how much of each part is here, from 0 to 1.
func (f *Fetching) Filled() (filled [FetchingParts]float64) {
	for i, n := range f.Parts {
		filled[i] = float64(n) / float64(f.partAt(int64(i)+1)-f.partAt(int64(i)))
	}
	return filled
}

// A rate is how fast something comes: each part counts for less the longer ago it
// came.
type rate struct {
	last float64 // bytes a second, at that time
	at   time.Time
}

// rateFades is the time in which what came counts for a third.
const rateFades = 3 * time.Second

func (r *rate) add(n int, now time.Time) {
	r.last, r.at = r.now(now)+float64(n)/rateFades.Seconds(), now
}

func (r *rate) now(now time.Time) float64 {
	return r.last * math.Exp(-now.Sub(r.at).Seconds()/rateFades.Seconds())
}
