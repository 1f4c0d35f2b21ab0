package images

import (
	"cmp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// An Indexing is a layer of which is being found out what is in it.
type Indexing struct {
	Digest digest.Digest
	Size   int64 // bytes
	Since  time.Time
	// Reached is how far its pass has come, in bytes, as it was last shown: each time
	// that another span has ended. Entries is how many were found so far.
	Reached int64
	Entries int
}

// Indexing are the layers that are being opened, those first that began first.
func (s *Images) Indexing() []Indexing {
	s.mu.Lock()
	var opening []*layer
	for _, l := range s.layers {
		select {
		case <-l.done:
		default:
			opening = append(opening, l)
		}
	}
	s.mu.Unlock()
	all := make([]Indexing, 0, len(opening))
	for _, l := range opening {
		i := Indexing{Digest: l.source.Digest, Size: l.source.Size, Since: l.began}
		if passed := l.passed.Load(); passed != nil {
			i.Entries, i.Reached = passed.Reached()
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Indexing) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Digest, b.Digest)) })
	return all
}
