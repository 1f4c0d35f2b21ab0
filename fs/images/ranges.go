package images

import (
	"context"
	"maps"
	"slices"

	"github.com/orasfs/orasfs/fs/archive"
)

// Needed is what has to be read of one layer.
type Needed struct {
	Layer  int // its number in the image
	Ranges []archive.Range
}

// Ranges are what has to be read of the image's layers for the contents of files of its
// whole tree, the lowest layer first.
func (m *Image) Ranges(ctx context.Context, t *Tree, files []archive.Node) ([]Needed, error) {
	byLayer := map[int][]archive.Node{}
	for _, n := range files {
		if k, _, ok := n.Entry(); ok && n.Type() == archive.TypeRegular {
			byLayer[k] = append(byLayer[k], n)
		}
	}
	var all []Needed
	for _, k := range slices.Sorted(maps.Keys(byLayer)) {
		l, err := m.images.layer(t.sources[k])
		if err != nil {
			return nil, err
		}
		known, err := l.wait(ctx)
		if err == nil && known.Identity() != t.identities[k] {
			err = ErrStale
		}
		if err != nil {
			l.release()
			return nil, err
		}
		all = append(all, Needed{k, known.Ranges(byLayer[k])})
		l.release()
	}
	return all, nil
}
