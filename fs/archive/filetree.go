package archive

import (
	"hash/maphash"
	"strconv"
	"strings"
)

// impliedDir is a directory that no entry names.
func impliedDir(depth uint16) anode {
	none := ref{layer: noLayer}
	return anode{content: none, attr: none, time: none, dir: true, depth: depth}
}

// A ref is an entry of a layer.
type ref struct{ layer, entry uint32 }

// A place is a name in a directory, which is an inode.
type place struct {
	dir  uint32
	name string
}

// A dent is a name of an inode. Those of a directory are a list, in the order in
// which they came.
type dent struct {
	name       string
	dir, inode uint32
	next, prev uint32 // others of the directory; 0 is none
	// unpacked is the number from 1 on of the layer that has, or has had, an entry here.
	unpacked uint32
}

// An anode is an inode in the making.
type anode struct {
	content ref // whose content it has; noLayer is a directory that no entry names
	attr    ref // whose owner and mode: those of the last entry that named it
	time    ref // whose time, the same but for what redo has given one
	names   uint32
	given   uint32 // names that its own layer gave it, whatever became of them
	shared  bool   // another layer gave it a name
	dir     bool
	link    bool
	depth   uint16

	// Of a directory:
	dent    uint32 // its own name
	first   uint32 // the first of its entries, a dent
	cleared uint32 // the number from 1 on of the layer that made it opaque
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// name gives an inode a name, and returns its dent.
func (a *applier) name(dir uint32, name string, inode uint32) uint32 {
	at := uint32(len(a.dents)) //nolint:gosec // at most some for each of maxEntries
	d, n := &a.inodes[dir], &a.inodes[inode]
	a.dents = append(a.dents, dent{name: name, dir: dir, inode: inode, next: d.first})
	if d.first != 0 {
		a.dents[d.first].prev = at
	}
	d.first = at
	a.names[place{dir, name}] = at
	n.names++
	if n.content.layer == a.k || n.content.layer == noLayer {
		n.given++
	} else {
		n.shared = true
	}
	if n.dir {
		n.dent = at
	}
	return at
}

// remove takes away a name and, where it is a directory's, what is in it; 0 is
// none.
func (a *applier) remove(at uint32) error {
	if at == 0 {
		return nil
	}
	a.unlink(at)
	for stack := []uint32{at}; len(stack) > 0; {
		at = stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if err := a.step(1); err != nil {
			return err
		}
		d := &a.dents[at]
		delete(a.names, place{d.dir, d.name})
		if d.unpacked == a.k+1 {
			a.gone.paths[a.pathSum(d.dir, d.name)] = true
		}
		n := &a.inodes[d.inode]
		if n.cleared == a.k+1 {
			a.gone.opaque[a.pathSum(d.dir, d.name)] = true
		}
		n.names--
		if n.dir || n.link { // of whatever layer: the way of a link may lead through it
			a.epoch++
			a.undone = true
		}
		for child := n.first; child != 0; child = a.dents[child].next {
			stack = append(stack, child)
		}
		n.first = 0
	}
	return nil
}

// unlink takes a dent out of its directory's list.
func (a *applier) unlink(at uint32) {
	d := &a.dents[at]
	if d.prev != 0 {
		a.dents[d.prev].next = d.next
	} else {
		a.inodes[d.dir].first = d.next
	}
	if d.next != 0 {
		a.dents[d.next].prev = d.prev
	}
}

// gone are paths of what a layer took away, by their sums.
type gone struct {
	seed   maphash.Seed
	paths  map[uint64]bool // it had an entry for them
	opaque map[uint64]bool // it had made them opaque
}

func newGone() gone { return gone{maphash.MakeSeed(), map[uint64]bool{}, map[uint64]bool{}} }

// wasCleared tells whether the layer has made a directory opaque, or another one that was
// there before.
func (a *applier) wasCleared(dir uint32) bool {
	n := &a.inodes[dir]
	if n.cleared == a.k+1 || dir == 0 || len(a.gone.opaque) == 0 {
		return n.cleared == a.k+1
	}
	at := &a.dents[n.dent]
	return a.gone.opaque[a.pathSum(at.dir, at.name)]
}

// hadEntry tells whether the layer has had an entry for a name in a directory, or in
// another one that was there before.
func (a *applier) hadEntry(dir uint32, name string) bool {
	return len(a.gone.paths) > 0 && a.gone.paths[a.pathSum(dir, name)]
}

// pathSum stands for the path of a name in a directory.
func (a *applier) pathSum(dir uint32, name string) uint64 {
	var sum maphash.Hash
	sum.SetSeed(a.gone.seed)
	for {
		a.steps++
		_, _ = sum.WriteString(name) // neither fails
		_ = sum.WriteByte('/')
		if dir == 0 {
			return sum.Sum64()
		}
		up := &a.dents[a.inodes[dir].dent]
		dir, name = up.dir, up.name
	}
}

// hardlink is the inode that a hard link leads to, or why it leads to none. What
// is at the end of its target isn't followed.
func (a *applier) hardlink(target string) (inode uint32, why string, err error) {
	path, name := cutLast(target)
	dir, why, err := a.directory(path, wantFound)
	if err != nil {
		return 0, "", err
	}
	at := a.names[place{dir, name}]
	if why != "" || at == 0 {
		return 0, "a hard link to " + strconv.Quote(target) + ", which isn't there", nil
	}
	if a.inodes[a.dents[at].inode].dir {
		return 0, "a hard link to a directory", nil
	}
	return a.dents[at].inode, "", nil
}

// cutLast cuts a clean path before its last element.
func cutLast(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(0, i)], path[i+1:]
}
