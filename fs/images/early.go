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
		t, err := o.soFar(ctx, path)
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

// soFar is the tree of what is known, or one made before that says as much about path;
// nil is nothing.
func (o *opening) soFar(ctx context.Context, path string) (*Tree, error) {
	select {
	case <-o.early:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { o.early <- struct{}{} }()
	list, below := o.known()
	if len(list) == 0 {
		return nil, nil
	}
	t := &Tree{opening: o}
	for _, k := range list {
		t.passing, t.layers, t.sources = append(t.passing, k.archive), append(t.layers, k.layer), append(t.sources, k.source)
	}
	if !o.showsMore(t.passing, path) {
		return o.part, nil
	}
	// Who is interrupted while making it leaves that to the next who asks.
	give, ok := o.image.images.room.try(archive.ApplyCost(t.passing))
	if !ok {
		return nil, nil // who asks waits for the whole tree
	}
	defer give()
	tree, err := archive.Apply(ctx, t.passing, archive.How{Raw: o.image.raw, Below: below})
	if errors.Is(err, archive.ErrLost) {
		return nil, nil // likewise
	}
	if err != nil {
		return nil, err
	}
	t.is(tree, o.image.key)
	o.seen, o.part = t.passing, t
	return t, nil
}

// showsMore tells whether a tree of these layers may say more about path than that of
// those that were seen: as many are the same ones, the topmost, as far as they were known
// then.
//
// Who has the token calls it.
func (o *opening) showsMore(layers []*archive.Layer, path string) bool {
	if len(o.seen) != len(layers) {
		return true
	}
	for i, l := range layers {
		if l.ShowsMore(o.seen[i], path) {
			return true
		}
	}
	return false
}

// A known layer is what is known of one: all, or what its pass has come by.
type known struct {
	archive *archive.Layer
	layer   *layer
	source  *Source
	whole   bool
}

// known are the topmost layers that are known as a whole and the one below them
// as far as its pass has come, and, where they are all known, those below that.
// Otherwise below is set. Nothing is returned unless some pass has come by
// something: the whole tree is soon there then.
func (o *opening) known() (list []known, below bool) {
	o.mu.Lock()
	all := make([]known, len(o.layers))
	for i, l := range o.layers {
		if l != nil {
			all[i] = known{layer: l, source: o.sources[i]}
			all[i].archive, all[i].whole = l.soFar()
		}
	}
	o.mu.Unlock()
	passed := len(all) - 1
	for passed >= 0 && all[passed].whole {
		passed--
	}
	if passed < 0 || all[passed].archive == nil {
		return nil, false
	}
	if slices.ContainsFunc(all[:passed], func(k known) bool { return !k.whole }) {
		return all[passed:], true
	}
	return all, false
}
