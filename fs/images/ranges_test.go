package images

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/orasfs/orasfs/fs/archive"
)

// What some files need of layers is told layer by layer, and brought from there alone.
func TestRanges(t *testing.T) {
	w := newWorkplace(t, 0)
	low := newBlob(gzipOf(t, tarOf(t, named{"a", noise(t, 3<<20)}, named{"b", noise(t, 3<<20)}, named{"c", noise(t, 3<<20)})))
	top := newBlob(gzipOf(t, tarOf(t, named{"b", "top"}, named{"dir/", ""}, named{"empty", ""})))
	m := w.image("app", low, top)
	tree, err := m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes := func(names ...string) (all []archive.Node) {
		for _, name := range names {
			n, ok := tree.At(name)
			if !ok {
				t.Fatalf("%s isn't there", name)
			}
			all = append(all, n)
		}
		return all
	}
	read := low.reads.Load() + top.reads.Load()
	needed, err := m.Ranges(t.Context(), tree, nodes("b", "dir", "a", "empty"), false)
	if err != nil || len(needed) != 2 || needed[0].Layer != 0 || needed[1].Layer != 1 {
		t.Fatalf("%+v, %v", needed, err)
	}
	if low.reads.Load()+top.reads.Load() != read {
		t.Error("to know them took bytes of the layers")
	}
	size := func(n Needed) (sum int64) {
		for _, r := range n.Ranges {
			sum += r.Length
		}
		return sum
	}
	if got, all := size(needed[0]), int64(len(low.data)); got < 3<<20 || got > all*2/3 {
		t.Errorf("a takes %d bytes of %d", got, all)
	}
	low.reads.Store(0)
	var came atomic.Int64
	if err := m.Bring(t.Context(), needed[0], func(n int64) { came.Add(n) }); err != nil {
		t.Fatal(err)
	}
	if got := low.reads.Load(); got < size(needed[0]) || got > size(needed[0])+1000 || came.Load() != got {
		t.Errorf("%d bytes were read and %d told of %d", got, came.Load(), size(needed[0]))
	}

	// With what is on disk nothing is asked for, and without an index it is all.
	again := newWorkplace(t, 0)
	again.kept = w.kept
	m = again.image("app", low, top)
	if tree = m.Known(t.Context()); tree == nil {
		t.Fatal("the tree isn't known")
	}
	low.reads.Store(0)
	if got, err := m.Ranges(t.Context(), tree, nodes("a"), true); err != nil || size(got[0]) != size(needed[0]) {
		t.Errorf("with its index: %+v, %v", got, err)
	}
	low.data[len(low.data)/6] ^= 1
	if err := m.Bring(t.Context(), needed[0], func(int64) {}); !errors.Is(err, archive.ErrDigest) && !errors.Is(err, archive.ErrFormat) {
		t.Errorf("of a byte that is another: %v", err)
	}
	low.data[len(low.data)/6] ^= 1
	for key := range again.kept {
		if key != keptKey(tree.sources, false) {
			delete(again.kept, key)
		}
	}
	third := newWorkplace(t, 0)
	third.kept = again.kept
	m = third.image("app", low, top)
	low.reads.Store(0)
	if tree = m.Known(t.Context()); tree == nil {
		t.Fatal("the tree isn't known")
	}
	if got, err := m.Ranges(t.Context(), tree, nodes("a"), true); err != nil || len(got) != 1 || size(got[0]) != int64(len(low.data)) || low.reads.Load() != 0 {
		t.Errorf("without its index: %+v, %v, %d bytes read", got, err, low.reads.Load())
	}
	stale := needed[1]
	stale.identity = "another"
	if err := m.Bring(t.Context(), stale, func(int64) {}); !errors.Is(err, ErrStale) {
		t.Errorf("of a layer that was indexed otherwise: %v", err)
	}
}
