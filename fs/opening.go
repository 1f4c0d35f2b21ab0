package fs

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/orasfs/orasfs/fs/archive"
)

// maxImages bounds the trees that a mount remembers while nobody looks into
// them, and openAtOnce how many layers of one are opened at the same time.
const (
	maxImages  = 16
	openAtOnce = 4
)

// An opening is a tree of archives on its way: an image, or a layer by itself.
// What its layers show before they are known as a whole can be looked at.
type opening struct {
	tree *tree
	key  string
	raw  bool // a layer by itself
	done chan struct{}

	// Set before done is closed.
	image *archive.Image
	err   error

	mu      sync.Mutex       // guards what follows
	layers  []*archive.Layer // nil where one isn't open yet
	passed  []*archive.Layer // what is known of such a one so far
	changed chan struct{}    // closed when there is more
	partial *archive.Image   // of the above; nil when it has to be made anew
}

// openings are those under way, by what they open.
type openings struct {
	mu    sync.Mutex // guards byKey
	byKey map[string]*opening
}

// allLayers is in the place of a layer's number.
const allLayers = -1

// opening opens a manifest's image, or one of its layers by itself. It doesn't
// wait.
func (r *repository) opening(d digest.Digest, layer int) *opening {
	t := r.tree
	key := fmt.Sprintf("%s@%s/%d", r.name, d, layer)
	t.openings.mu.Lock()
	defer t.openings.mu.Unlock()
	if o := t.openings.byKey[key]; o != nil {
		return o
	}
	o := &opening{tree: t, key: key, raw: layer != allLayers, done: make(chan struct{}), changed: make(chan struct{})}
	if m, ok := t.images.Get(key); ok {
		o.image = m
		close(o.done)
		return o
	}
	var image *archive.Image
	running := t.run(func() (err error) {
		image, err = o.open(r, d, layer)
		return err
	}, func(err error) { o.end(image, err) })
	if !running {
		o.err = context.Canceled
		close(o.done)
		return o
	}
	if t.openings.byKey == nil {
		t.openings.byKey = map[string]*opening{}
	}
	t.openings.byKey[key] = o
	return o
}

// open opens the layers and makes the tree of them.
func (o *opening) open(r *repository, d digest.Digest, layer int) (*archive.Image, error) {
	layers, err := o.openLayers(r, d, layer)
	switch {
	case err != nil:
		return nil, err
	case o.raw:
		return archive.NewTree(layers[0]), nil
	}
	return archive.NewImage(layers), nil
}

// end ends the opening. It waits for openings.mu, and so until the opening is
// among those under way.
func (o *opening) end(image *archive.Image, err error) {
	defer close(o.done)
	o.image, o.err = image, err
	t := o.tree
	t.openings.mu.Lock()
	defer t.openings.mu.Unlock()
	delete(t.openings.byKey, o.key)
	if o.image != nil {
		t.images.Add(o.key, o.image)
	}
}

func (o *opening) openLayers(r *repository, d digest.Digest, layer int) ([]*archive.Layer, error) {
	a, err := r.artifact(o.tree.ctx, d)
	if err != nil {
		return nil, err
	}
	first, count := layer, 1
	if layer == allLayers {
		first, count = 0, len(a.Layers)
	}
	layers := make([]*archive.Layer, count)
	o.mu.Lock()
	o.layers, o.passed = make([]*archive.Layer, count), make([]*archive.Layer, count)
	o.mu.Unlock()
	group, ctx := errgroup.WithContext(o.tree.ctx)
	group.SetLimit(openAtOnce)
	// The topmost first: what is below them is only sure once they are known.
	for i := range slices.Backward(layers) {
		group.Go(o.tree.guarded(func() (err error) {
			layers[i], err = a.layer(ctx, first+i, func(l *archive.Layer) { o.show(i, nil, l) })
			if err == nil {
				o.show(i, layers[i], nil)
			}
			return err
		}))
	}
	return layers, group.Wait()
}

// show takes what is known of a layer: all, or what a pass has come by.
func (o *opening) show(i int, all, passed *archive.Layer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.layers[i], o.passed[i], o.partial = all, passed, nil
	close(o.changed)
	o.changed = make(chan struct{})
}

// wait waits for the whole tree.
func (o *opening) wait(ctx context.Context) (*archive.Image, error) {
	select {
	case <-o.done:
		return o.image, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// find is what is at a path of the tree. It waits no longer than until that is
// sure. false is that nothing is there.
func (o *opening) find(ctx context.Context, path string) (archive.Node, bool, error) {
	for {
		m, changed := o.soFar()
		if m != nil {
			if n, ok := m.At(path); ok && !n.Implied() {
				return n, true, nil
			}
		}
		select {
		case <-o.done:
			if o.err != nil {
				return archive.Node{}, false, o.err
			}
			n, ok := o.image.At(path)
			return n, ok, nil
		case <-changed:
		case <-ctx.Done():
			return archive.Node{}, false, ctx.Err()
		}
	}
}

// soFar is a tree of what is known while layers are still being opened; nil if
// there is nothing to show. changed is closed when there is more.
//
// An upper layer may remove or replace what a lower one has. So a layer may be
// shown only if all those above it are known as a whole: soFar takes these, from
// the top down to the first that isn't, and of that one what its pass has come by.
// What they show is as it will be in the end: no layer below can change it.
func (o *opening) soFar() (m *archive.Image, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partial != nil || len(o.layers) == 0 {
		return o.partial, o.changed
	}
	from := len(o.layers)
	for from > 0 && o.layers[from-1] != nil {
		from--
	}
	if from == 0 || o.passed[from-1] == nil {
		return nil, o.changed // all of it soon, or nothing new
	}
	known := append([]*archive.Layer{o.passed[from-1]}, o.layers[from:]...)
	if o.raw {
		o.partial = archive.NewTree(known[0])
	} else {
		o.partial = archive.NewImage(known)
	}
	return o.partial, o.changed
}
