package images

import (
	"context"
	"maps"
	"slices"

	"github.com/orasfs/orasfs/fs/archive"
)

// Needed is what has to be read of one layer for some files. It holds nothing.
type Needed struct {
	Layer  int // its number in the image
	Ranges []archive.Range

	source   *Source
	identity string
}

// Ranges are what has to be read of the image's layers for the contents of files of its
// whole tree, the lowest layer first. Where known is set nothing is fetched to find that
// out: of a layer whose index isn't here it is all.
func (m *Image) Ranges(ctx context.Context, t *Tree, files []archive.Node, known bool) ([]Needed, error) {
	byLayer := map[int][]archive.Node{}
	for _, n := range files {
		if k, _, ok := n.Entry(); ok && n.Type() == archive.TypeRegular {
			byLayer[k] = append(byLayer[k], n)
		}
	}
	var all []Needed
	for _, k := range slices.Sorted(maps.Keys(byLayer)) {
		n := Needed{Layer: k, source: t.sources[k], identity: t.identities[k]}
		if known && !m.images.indexed(n.source) {
			n.Ranges = []archive.Range{{Length: n.source.Size}}
			all = append(all, n)
			continue
		}
		err := m.with(ctx, n, func(l *archive.Layer) error {
			n.Ranges = l.Ranges(byLayer[k])
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// Bring reads what is needed of a layer: see [archive.Layer.Bring]. ErrStale is that
// what Ranges said isn't so any more.
func (m *Image) Bring(ctx context.Context, n Needed, came func(int64)) error {
	return m.with(ctx, n, func(l *archive.Layer) error { return l.Bring(ctx, n.Ranges, came) })
}

// with has do called with a layer, open and indexed as it was.
func (m *Image) with(ctx context.Context, n Needed, do func(*archive.Layer) error) error {
	l, err := m.images.layer(n.source)
	if err != nil {
		return err
	}
	defer l.release()
	known, err := l.wait(ctx)
	if err != nil {
		return err
	}
	if known.Identity() != n.identity {
		return ErrStale
	}
	return do(known)
}

// indexed tells whether a layer's index is here, so that it takes nothing to open it.
func (s *Images) indexed(src *Source) bool {
	s.mu.Lock()
	l := s.layers[src.Key]
	s.mu.Unlock()
	if l != nil {
		if _, whole := l.soFar(); whole {
			return true
		}
	}
	source := src.Source
	kept, err := archive.OpenKept(&source)
	if kept == nil || err != nil {
		return false
	}
	return kept.Close() == nil
}
