package images

import (
	"context"
	"errors"
	"slices"

	"github.com/orasfs/orasfs/fs/archive"
)

// find is what is at a path of the tree, as soon as that is sure.
func (o *opening) find(ctx context.Context, path string) (*Tree, archive.Node, bool, error) {
	for {
		changed := o.image.images.watch()
		select {
		case <-o.done:
			if o.err != nil {
				return nil, archive.Node{}, false, o.err
			}
			n, ok := o.tree.At(path)
			return o.tree, n, ok, nil
		default:
		}
		t, err := o.soFar(ctx)
		if err != nil {
			return nil, archive.Node{}, false, err
		}
		if t != nil {
			if n, ok := t.Sure(path); ok {
				return t, n, true, nil
			}
		}
		select {
		case <-changed:
		case <-o.done:
		case <-ctx.Done():
			return nil, archive.Node{}, false, ctx.Err()
		}
	}
}

// soFar is the tree of what is known; nil is nothing.
func (o *opening) soFar(ctx context.Context) (*Tree, error) {
	select {
	case <-o.early:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { o.early <- struct{}{} }()
	known, using, sources, below := o.known()
	if len(known) == 0 {
		return nil, nil
	}
	if slices.Equal(o.seen, known) {
		return o.part, nil
	}
	// It is made for as long as the opening goes on, whoever waits for it: another
	// one does next.
	give, ok := o.image.images.room.try(archive.ApplyCost(known) / 2)
	if !ok {
		return nil, nil // who asks waits for the whole tree
	}
	defer give()
	tree, err := archive.Apply(ctx, known, archive.How{Raw: o.image.raw, Below: below})
	if errors.Is(err, archive.ErrLost) {
		return nil, nil // likewise
	}
	if err != nil {
		return nil, err
	}
	t := newTree(tree, o.image.key, sources)
	t.passing, t.layers, t.opening = known, using, o
	o.seen, o.part = known, t
	return t, nil
}

// known are the topmost layers that are known as a whole and the one below them
// as far as its pass has come, and, where they are all known, those below that.
// Otherwise below is set. Nothing is returned unless some pass has come by
// something: the whole tree is soon there then.
func (o *opening) known() (known []*archive.Layer, using []*layer, sources []*Source, below bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	from := len(o.layers)
	for from > 0 && o.layers[from-1] != nil {
		from--
		l, whole := o.layers[from].soFar()
		if l == nil {
			return nil, nil, nil, false
		}
		known, using, sources = append(known, l), append(using, o.layers[from]), append(sources, o.sources[from])
		if !whole {
			below = true
			break
		}
	}
	if !below {
		return nil, nil, nil, false
	}
	lower, lowerUsing, lowerSources := []*archive.Layer{}, []*layer{}, []*Source{}
	for i := range from {
		if o.layers[i] == nil {
			break
		}
		l, whole := o.layers[i].soFar()
		if !whole {
			break
		}
		lower, lowerUsing, lowerSources = append(lower, l), append(lowerUsing, o.layers[i]), append(lowerSources, o.sources[i])
	}
	slices.Reverse(known)
	slices.Reverse(using)
	slices.Reverse(sources)
	if len(lower) == from {
		return append(lower, known...), append(lowerUsing, using...), append(lowerSources, sources...), false
	}
	return known, using, sources, true
}
