package images

import (
	"context"
	"errors"
	"sync"

	"github.com/orasfs/orasfs/fs/archive"
)

// openAtOnce is how many layers of an image are opened at the same time.
const openAtOnce = 4

// An opening is an image on its way. What its layers show before they are known
// as a whole can be looked at.
type opening struct {
	image *Image
	waiters
	done chan struct{} // closed when tree or err is set

	tree *Tree
	err  error

	mu      sync.Mutex // guards what follows
	sources []*Source
	layers  []*layer // nil where one isn't begun

	early chan struct{} // holds a token; who has it guards what follows
	seen  []*archive.Layer
	part  *Tree // of seen
}

// opening is the opening of an image, joined: who has it calls leave.
func (s *Images) opening(m *Image) (*opening, error) {
	if err := s.failures.of(m.key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.openings[m.key]; o != nil && o.join() {
		return o, nil
	}
	ctx, cancel := context.WithCancel(s.options.Context)
	o := &opening{
		image: m, done: make(chan struct{}), waiters: waiters{cancel: cancel, count: 1, linger: Linger}, early: make(chan struct{}, 1),
	}
	o.early <- struct{}{}
	s.openings[m.key] = o
	if !s.options.Run(func() (err error) {
		o.tree, err = o.run(ctx)
		return err
	}, o.ended) {
		cancel()
		delete(s.openings, m.key)
		return nil, context.Canceled
	}
	return o, nil
}

// run opens the layers and applies them.
func (o *opening) run(ctx context.Context) (*Tree, error) {
	s, m := o.image.images, o.image
	sources, err := m.maker.Sources(ctx)
	if err != nil {
		return nil, err
	}
	if t := s.kept(m, sources); t != nil {
		return t, nil
	}
	for again := false; ; again = true {
		o.mu.Lock()
		o.sources, o.layers = sources, make([]*layer, len(sources))
		o.mu.Unlock()
		layers, err := o.openLayers(ctx)
		if err != nil {
			return nil, err
		}
		t, err := o.apply(ctx, layers)
		if again || !errors.Is(err, archive.ErrLost) {
			return t, err
		}
		s.lose(o.layers)
	}
}

// lose gives up layers that can't be applied as they are held.
func (s *Images) lose(layers []*layer) {
	s.mu.Lock()
	for _, l := range layers {
		if s.layers[l.key] == l {
			delete(s.layers, l.key)
		}
	}
	s.mu.Unlock()
	s.releaseAll(layers)
}

// openLayers opens the image's layers, the topmost first: what is below them is
// only sure once they are known.
func (o *opening) openLayers(ctx context.Context) ([]*archive.Layer, error) {
	s, next := o.image.images, len(o.layers)-1
	open := make([]*archive.Layer, len(o.layers))
	var opening []int
	var known []*archive.Layer // of open, in the order in which they came
	for {
		changed := s.watch()
		still := opening[:0]
		for _, i := range opening {
			select {
			case <-o.layers[i].done:
				if err := o.layers[i].err; err != nil {
					return nil, err
				}
				open[i] = o.layers[i].archive
				known = append(known, open[i])
				if cost := archive.ApplyCost(known); cost > s.room.size {
					_, err := s.room.take(ctx, "applying the layers", cost) // which says why not
					return nil, err
				}
			default:
				still = append(still, i)
			}
		}
		opening = still
		if next >= 0 && len(opening) < openAtOnce {
			l, err := s.layer(o.sources[next])
			if err != nil {
				return nil, err
			}
			o.mu.Lock()
			o.layers[next] = l
			o.mu.Unlock()
			opening = append(opening, next)
			next--
			s.progress() // it may show something already
			continue     // it may be open already
		}
		if len(opening) == 0 {
			return open, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// watch is closed when more is known of some layer.
func (s *Images) watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// apply makes the tree of the layers.
func (o *opening) apply(ctx context.Context, layers []*archive.Layer) (*Tree, error) {
	s, m := o.image.images, o.image
	give, err := s.room.take(ctx, "applying the layers", archive.ApplyCost(layers))
	if err != nil {
		return nil, err
	}
	defer give()
	// Of a blob that is found wrong from now on the tree is stale.
	// One that is as good as a table that somebody put beside a layer isn't kept: other
	// images of the same layers would get it.
	var plain []plainLayer
	beside := false
	for i, l := range o.layers {
		beside = beside || layers[i].Beside()
		if !layers[i].Proven() {
			plain = append(plain, plainLayer{l, i, l.generation})
		}
	}
	tree, err := archive.Apply(ctx, layers, archive.How{Raw: m.raw})
	if err != nil {
		return nil, err
	}
	t := newTree(tree, m.key, o.sources)
	if t.plain = plain; len(plain) == 0 && !beside {
		raw, err := tree.Bytes()
		if err != nil {
			return nil, err
		}
		key := keptKey(o.sources, m.raw)
		if s.options.Store.PutIndex(key, raw) { // else it is made again
			s.spoilt.Remove(key)
		}
	}
	return t, nil
}

// ended ends the opening.
func (o *opening) ended(err error) {
	s := o.image.images
	if o.err = err; err != nil {
		if o.gaveUp() {
			s.options.Log.Debug("nobody waits for an archive any more", "image", o.image.key)
		}
		o.tree = nil
		s.failures.note(o.image.key, err, o.proven())
	}
	var using []*layer
	for _, l := range o.layers {
		if l != nil {
			using = append(using, l)
		}
	}
	if t := o.tree; t != nil {
		s.mu.Lock()
		for _, p := range t.plain { // the tree's own use of them
			s.use(p.layer)
		}
		s.mu.Unlock()
		s.remember(t)
	}
	s.mu.Lock()
	if s.openings[o.image.key] == o {
		delete(s.openings, o.image.key)
	}
	close(o.done)
	o.end()
	s.mu.Unlock()
	s.releaseAll(using)
	s.progress()
}

// proven tells whether all layers are known to be what their digests say: what
// is wrong with them stays wrong.
func (o *opening) proven() bool {
	if len(o.layers) == 0 {
		return false
	}
	for _, l := range o.layers {
		if l == nil {
			return false
		}
		if known, whole := l.soFar(); !whole || !known.Proven() {
			return false
		}
	}
	return true
}

// cancelled tells whether the opening ended because nobody waited for it.
func (o *opening) cancelled() bool {
	select {
	case <-o.done:
		return errors.Is(o.err, context.Canceled) && o.gaveUp()
	default:
		return false
	}
}

// wait waits for the whole tree.
func (o *opening) wait(ctx context.Context) (*Tree, error) {
	select {
	case <-o.done:
		return o.tree, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
