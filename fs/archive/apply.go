package archive

import (
	"context"
	"fmt"
	"strings"
)

// How tells what layers are applied to, and how.
type How struct {
	// Raw is for a layer by itself: a whiteout is a file like any other.
	Raw bool
	// Below is that there are further layers below, of which nothing is known.
	Below bool
}

// Apply is the tree of layers, the lowest first, applied one after the other, in
// the order of each one's entries. It means what containerd's archive.Apply and
// umoci mean by it (see the package's documentation).
//
// It takes time in proportion to what the layers hold, within a budget: what
// would take more is refused with ErrTooLarge. It ends soon after ctx does.
func Apply(ctx context.Context, layers []*Layer, how How) (*Tree, error) {
	a := newApplier(ctx, layers, how)
	for k, l := range layers {
		if err := a.layer(k, l); err != nil {
			return nil, fmt.Errorf("apply layer %s: %w", l.source.Digest, err)
		}
	}
	return a.tree()
}

// An applier holds the file tree while entries are applied to it.
type applier struct {
	ctx     context.Context
	how     How
	layers  []*Layer
	indexes []*index // theirs, with their entries

	dents  []dent
	inodes []anode
	names  map[place]uint32  // dents
	xattrs map[uint32]string // of inodes, where several entries gave them some

	resolved map[string]resolution // directories by the paths that entries spell
	epoch    int                   // of the tree: what is resolved holds for one
	unsure   bool                  // see Tree.Sure

	implied int // directories that no entry names
	count   int // entries of the layers up to this one

	k       uint32 // the layer that is being applied
	x       *index // and its index
	steps   int64  // taken for it
	budget  int64  // and how many it may take
	leftOut int    // of its entries
	undone  bool   // a directory of its entries, or a way to one, was taken away
	gone    gone   // what it has had entries for and was taken away
}

// A layer's budget: so many steps, and some more for each of its entries. A step
// is a name that is looked up or taken away. Layers that people make need two or
// three for an entry; a layer that needs a hundred times as many was made for it.
const (
	stepsOfLayer = 8 << 20
	stepsOfEntry = 64
)

// costOfEntry is about how much memory applying an entry takes, in bytes, as
// measured: its record and name in the index, its inode, its name in a directory,
// and both again in the tree that is made of them.
const costOfEntry = 400

// maxImplied is how many directories there may be that no entry names, and one more
// for each entry: some bytes of a tar can be the way through a thousand of them.
const maxImplied = 1 << 15

// ApplyCost is about how much memory applying layers takes at most, in bytes.
func ApplyCost(layers []*Layer) int64 {
	n := int64(maxImplied * costOfEntry / 2)
	for _, l := range layers {
		n += int64(l.count) * costOfEntry
	}
	return n
}

func newApplier(ctx context.Context, layers []*Layer, how How) *applier {
	a := &applier{ctx: ctx, how: how, layers: layers, names: map[place]uint32{}, xattrs: map[uint32]string{}, resolved: map[string]resolution{}}
	a.inodes = append(a.inodes, impliedDir(0))
	a.dents = append(a.dents, dent{}) // the root's: what is 0 elsewhere is none
	return a
}

// layer applies layer number k.
func (a *applier) layer(k int, l *Layer) error {
	x, err := l.entries()
	if err != nil {
		return err
	}
	a.indexes = append(a.indexes, x)
	a.k, a.x, a.steps, a.leftOut, a.undone, a.gone = uint32(k), x, 0, 0, false, newGone() //nolint:gosec // a manifest has fewer layers
	a.count += x.entries.len()
	a.budget = stepsOfLayer + stepsOfEntry*int64(x.entries.len())
	for i := range x.entries.len() {
		if err := a.step(1); err != nil {
			return err
		}
		if err := a.entry(i); err != nil {
			return err
		}
	}
	if a.undone {
		if err := a.redo(); err != nil {
			return err
		}
	}
	if a.leftOut > maxComplaints {
		l.source.Log.Warn("entries are left out", "layer", l.source.Digest, "count", a.leftOut)
	}
	return nil
}

// step counts what takes time.
func (a *applier) step(n int64) error {
	const look = 1 << 12 // at the context, once in so many steps
	before := a.steps / look
	if a.steps += n; a.steps > a.budget {
		return fmt.Errorf("%w: applying it takes more than %d steps", ErrTooLarge, a.budget)
	}
	if a.steps/look != before {
		return a.ctx.Err()
	}
	return nil
}

// maxComplaints bounds the lines that one layer's entries are worth.
const maxComplaints = 16

// complain says in the log that an entry is left out.
func (a *applier) complain(i int, why string) {
	l := a.layers[a.k]
	if a.leftOut++; l.partial || a.how.Below || a.leftOut > maxComplaints {
		return
	}
	dir, name := a.x.name(a.x.entries.at(i))
	l.source.Log.Warn("an entry is left out", "layer", l.source.Digest, "entry", join(dir, name), "error", why)
}

// entry applies entry i of the layer.
func (a *applier) entry(i int) error {
	r := a.x.entries.at(i)
	typ := Type(r.u32(0) & typeMask)
	path, name := a.x.name(r)
	if name == "" {
		a.describe(0, i)
		return nil
	}
	if strings.HasPrefix(name, whiteout) && !a.how.Raw {
		return a.whiteout(i, path, name)
	}
	dir, why, err := a.directory(path, wantForced)
	if err != nil {
		return err
	}
	if why != "" {
		a.complain(i, why)
		return nil
	}
	at := a.names[place{dir, name}]
	if at != 0 && typ == TypeDir && a.inodes[a.dents[at].inode].dir {
		a.describe(a.dents[at].inode, i)
		a.dents[at].unpacked = a.k + 1
		return nil
	}
	// Anything else than a directory over a directory takes away what is there,
	// and a hard link does so before it finds that it leads nowhere.
	if err := a.remove(at); err != nil {
		return err
	}
	inode := uint32(len(a.inodes)) //nolint:gosec // at most some for each of maxEntries
	if typ == typeHardlink {
		if inode, why, err = a.hardlink(a.x.target(r)); err != nil {
			return err
		}
		if why != "" {
			a.complain(i, why)
			return nil
		}
		a.describe(inode, i)
	} else {
		of := ref{a.k, uint32(i)} //nolint:gosec // at most maxEntries
		a.inodes = append(a.inodes, anode{
			content: of, attr: of, time: of, dir: typ == TypeDir, link: typ == TypeSymlink, depth: a.inodes[dir].depth + 1,
		})
	}
	a.dents[a.name(dir, name, inode)].unpacked = a.k + 1
	return nil
}

// redo sees to the directories that the layer has entries for, when some were
// taken away by later ones: at the end of a layer those are given their times, by their
// paths, and must be there (containerd refuses the layer otherwise; umoci never takes
// away what the layer has made). So what is missing is made again, without what was in
// it, and what has taken the place of one gets its time: of a link what it leads to.
func (a *applier) redo() error {
	for i := range a.x.entries.len() {
		r := a.x.entries.at(i)
		path, name := a.x.name(r)
		if Type(r.u32(0)&typeMask) != TypeDir || name == "" || strings.HasPrefix(name, whiteout) && !a.how.Raw {
			continue
		}
		w := walk{applier: a, ahead: []string{join(path, name)}}
		why, err := w.run()
		if err != nil {
			return err
		}
		if why != "" {
			continue
		}
		at := w.at
		if len(w.beyond) > 0 {
			if other := a.names[place{w.at, w.beyond[0]}]; other == 0 {
				at, why, err = a.makeAll(w.at, w.beyond)
			} else if at = a.dents[other].inode; len(w.beyond) > 1 {
				continue // no way: it isn't a directory
			}
		}
		if err != nil {
			return err
		}
		if why == "" {
			a.inodes[at].time = ref{a.k, uint32(i)} //nolint:gosec // at most maxEntries
		}
	}
	return nil
}

// describe gives an inode that is there the attributes of entry i. Extended ones
// are added to those that it has.
func (a *applier) describe(inode uint32, i int) {
	n, by := &a.inodes[inode], ref{a.k, uint32(i)} //nolint:gosec // at most maxEntries
	further := a.xattrsOf(by)
	all := addXattrs(a.xattrsIn(inode), further)
	a.steps += int64(len(all)) / 64
	delete(a.xattrs, inode)
	if all != further {
		a.xattrs[inode] = all
	}
	n.attr, n.time = by, by
	if n.content.layer == noLayer {
		n.content = by
	}
}

// xattrsIn are the attributes of an inode, packed.
func (a *applier) xattrsIn(inode uint32) string {
	if several, ok := a.xattrs[inode]; ok {
		return several
	}
	return a.xattrsOf(a.inodes[inode].attr)
}

// xattrsOf are the attributes that an entry has, packed.
func (a *applier) xattrsOf(e ref) string {
	if e.layer == noLayer {
		return ""
	}
	x := a.indexes[e.layer]
	r := x.entries.at(int(e.entry))
	return x.heap.at(r.u32(60), r.u32(64))
}
