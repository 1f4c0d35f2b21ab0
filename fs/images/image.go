package images

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// ErrStale is the error of what was made of a tree that isn't there any more: who
// looks it up again finds what is there now.
var ErrStale = errors.New("the archive was indexed anew")

// An Image is one image, or one layer by itself: what is asked of it. It holds
// nothing.
type Image struct {
	images *Images
	key    string
	raw    bool
	maker  Maker
}

// Image is the image with that key, which names all that it is made of. raw is
// that it is one layer by itself.
func (s *Images) Image(key string, raw bool, maker Maker) *Image {
	return &Image{s, key, raw, maker}
}

// A Tree is the tree of an image, and where its contents are.
type Tree struct {
	*archive.Tree
	// Tag tells trees apart: nodes of one number are the same in all trees of one
	// tag, unless those are provisional.
	Tag uint64

	key        string
	sources    []*Source
	identities []string
	plain      []plainLayer     // whose bytes nothing vouches for but their blob
	passing    []*archive.Layer // of a partial tree
	layers     []*layer         // and what they are of
	opening    *opening         // which goes on while a file is open
}

// A plainLayer is a plain tar whose headers were read of a blob that hadn't been
// verified. The tree uses it for as long as it is held.
type plainLayer struct {
	*layer
	number     int
	generation uint64
}

// Provisional tells whether the tree may turn out to be another one: a layer is
// known in part, or as good as a connection was. What it says must not be kept.
func (t *Tree) Provisional() bool {
	if t.Partial() {
		return true
	}
	for _, p := range t.plain {
		if !p.blob.Verified() {
			return true
		}
	}
	return false
}

// stale tells whether a blob that the tree was made of has been found wrong.
func (t *Tree) stale() bool {
	for _, p := range t.plain {
		if p.blob.Generation() != p.generation {
			return true
		}
	}
	return false
}

// Layer names the layer of a node, and the node's entry in it. Where the layer's
// bytes are verified part by part that is the same file whoever gives them.
// false is a directory that no entry names.
func (t *Tree) Layer(n archive.Node) (identity string, entry int, ok bool) {
	k, entry, ok := n.Entry()
	if !ok {
		return "", 0, false
	}
	return t.identities[k], entry, true
}

// newTree is a tree of what the sources are.
func newTree(t *archive.Tree, key string, sources []*Source) *Tree {
	made := &Tree{sources: sources}
	made.is(t, key)
	return made
}

// is makes the tree that of an image.
func (t *Tree) is(tree *archive.Tree, key string) {
	t.Tree, t.key, t.identities = tree, key, tree.Layers()
	sum := sha256.Sum256([]byte(strings.Join(t.identities, "\n")))
	t.Tag = binary.LittleEndian.Uint64(sum[:])
}

// keptKey is under which the tree of layers is kept on disk. How a layer is
// indexed its own part says.
func keptKey(sources []*Source, raw bool) string {
	parts := []string{"applied"}
	if raw {
		parts[0] = "by itself"
	}
	for _, src := range sources {
		parts = append(parts, src.TOCKey()+" "+src.DiffID.String())
	}
	return "tree-" + digest.FromString(strings.Join(parts, "\n")).Encoded() + "-" + archive.IndexVersion + "-" + archive.TreeVersion
}

// Tree is all of the image. It may take as long as the layers need to arrive.
func (m *Image) Tree(ctx context.Context) (*Tree, error) {
	for {
		if t := m.images.tree(m.key); t != nil {
			return t, nil
		}
		o, err := m.images.opening(m)
		if err != nil {
			return nil, err
		}
		t, err := o.wait(ctx)
		o.leave()
		if err != nil && o.cancelled() && ctx.Err() == nil {
			continue // it ended when nobody waited, at the moment when this came
		}
		return t, err
	}
}

// Known is the image's tree if it takes nothing but what is here: nil if it isn't
// known.
func (m *Image) Known(ctx context.Context) *Tree {
	if t := m.images.tree(m.key); t != nil {
		return t
	}
	sources, err := m.maker.Sources(ctx)
	if err != nil {
		return nil
	}
	t := m.images.kept(m, sources)
	if t != nil {
		m.images.remember(t)
	}
	return t
}

// Find is what is at a path of the image, and the tree that it is of. It waits no
// longer than until that is sure. false is that nothing is there.
func (m *Image) Find(ctx context.Context, path string) (*Tree, archive.Node, bool, error) {
	for {
		if t := m.images.tree(m.key); t != nil {
			n, ok := t.At(path)
			return t, n, ok, nil
		}
		o, err := m.images.opening(m)
		if err != nil {
			return nil, archive.Node{}, false, err
		}
		t, n, ok, err := o.find(ctx, path)
		o.leave()
		if err != nil && o.cancelled() && ctx.Err() == nil {
			continue
		}
		return t, n, ok, err
	}
}

// tree is the tree of that key if it is held, and not stale.
func (s *Images) tree(key string) *Tree {
	s.mu.Lock()
	e := s.trees[key]
	var t *Tree
	if e != nil {
		t = holdingOf(e).tree
		s.held.MoveToFront(e)
	}
	s.mu.Unlock()
	if t != nil && t.stale() {
		s.forget(t)
		return nil
	}
	return t
}

// forget gives up a tree that isn't right any more, and the layers whose blobs
// were found wrong.
func (s *Images) forget(t *Tree) {
	s.mu.Lock()
	var gone []*layer
	if e := s.trees[t.key]; e != nil {
		if holdingOf(e).tree == t {
			gone = s.drop(e)
		}
	}
	for _, p := range t.plain {
		if s.layers[p.key] == p.layer {
			delete(s.layers, p.key)
		}
	}
	s.mu.Unlock()
	s.releaseAll(gone)
}

// remember holds a tree.
func (s *Images) remember(t *Tree) {
	s.mu.Lock()
	var gone []*layer
	if e := s.trees[t.key]; e != nil {
		gone = s.drop(e)
	}
	size := t.Size() + fixedCost
	for _, p := range t.plain {
		size += p.archive.Size() // which can't be trimmed
	}
	e, more := s.hold(&holding{tree: t, size: size})
	s.trees[t.key] = e
	s.mu.Unlock()
	s.releaseAll(append(gone, more...))
}

// kept is the image's tree as the disk has it, nil where it hasn't.
func (s *Images) kept(m *Image, sources []*Source) *Tree {
	key := keptKey(sources, m.raw)
	raw, ok := s.options.Store.Index(key)
	if !ok || s.spoilt.Contains(key) {
		return nil
	}
	tree, err := archive.LoadTree(raw)
	if err != nil || len(tree.Layers()) != len(sources) {
		s.options.Log.Warn("a tree that was kept is made anew", "image", m.key, "error", err)
		return nil
	}
	return newTree(tree, m.key, sources)
}
