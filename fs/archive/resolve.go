package archive

import (
	"fmt"
	"strings"
)

// maxLinks is how many symbolic links there may be on one way: as many as
// containerd and umoci follow.
const maxLinks = 255

// A resolution is where a path led to at an epoch of the tree.
type resolution struct {
	dir   uint32
	epoch int
}

// A want is what becomes of a directory that isn't there.
type want int

const (
	wantFound  want = iota // nothing
	wantMade               // it is made where nothing is
	wantForced             // also in the place of what is no directory
)

// directory is the directory at a path from the root, through the links that are
// there now, or why there is none. Nothing leads out of the root.
//
// What no entry names could be a link in a layer that isn't known: see Tree.Sure.
func (a *applier) directory(path string, want want) (dir uint32, why string, err error) {
	if path == "" {
		return 0, "", nil
	}
	// A way that was found stays until a directory or a link is taken away. One that leads
	// back from what isn't there doesn't: that may be there later, and lead elsewhere.
	if r, ok := a.resolved[path]; ok && r.epoch == a.epoch {
		return r.dir, "", nil
	}
	w := walk{applier: a, ahead: []string{path}}
	if why, err = w.run(); err != nil || why != "" {
		return 0, why, err
	}
	dir = w.at
	if len(w.beyond) > 0 {
		other := a.names[place{w.at, w.beyond[0]}] != 0
		if a.unsure = a.unsure || a.how.Below; want == wantFound || want == wantMade && other {
			return 0, "there is no such directory", nil
		}
		if dir, why, err = a.makeAll(w.at, w.beyond); err != nil || why != "" {
			return 0, why, err
		}
	}
	if !w.back {
		a.resolved[path] = resolution{dir, a.epoch}
	}
	return dir, "", nil
}

// A walk follows a path, one element after the other.
type walk struct {
	*applier
	at     uint32   // a directory
	beyond []string // the way on from there, where no directory is any more
	ahead  []string // paths to be walked, the next one last
	links  int
	back   bool // it has led back from where no directory is
}

// run walks all of the path. why is that it has no end.
func (w *walk) run() (why string, err error) {
	for len(w.ahead) > 0 {
		last := len(w.ahead) - 1
		element, rest, more := strings.Cut(w.ahead[last], "/")
		if w.ahead[last] = rest; !more {
			w.ahead = w.ahead[:last]
		}
		if err := w.step(1); err != nil {
			return "", err
		}
		switch {
		case element == "" || element == ".":
		case element == "..":
			w.up()
		case len(w.beyond) > 0:
			w.beyond = append(w.beyond, element)
		default:
			w.into(element)
		}
		if w.links > maxLinks {
			return "too many symbolic links on the way", nil
		}
		if len(w.beyond) > maxDepth {
			return "too many directories on the way", nil
		}
	}
	return "", nil
}

func (w *walk) up() {
	if n := len(w.beyond); n > 0 {
		w.beyond, w.back = w.beyond[:n-1], true
	} else if w.at != 0 {
		w.at = w.dents[w.inodes[w.at].dent].dir
	}
}

// into goes on to what has a name in the directory.
func (w *walk) into(name string) {
	at := w.names[place{w.at, name}]
	inode := w.dents[at].inode
	switch n := &w.inodes[inode]; {
	case at == 0:
		w.beyond = append(w.beyond, name)
	case n.dir:
		w.at = inode
		if n.content.layer == noLayer && w.how.Below {
			w.unsure = true
		}
	case n.link:
		x := w.indexes[n.content.layer]
		target := x.target(x.entries.at(int(n.content.entry)))
		if strings.HasPrefix(target, "/") {
			w.at = 0
		}
		w.links++
		w.ahead = append(w.ahead, target)
	default:
		w.beyond = append(w.beyond, name)
	}
}

// makeAll makes the directories on a way on from one, of which the first is
// missing or something else than a directory, which it takes the place of.
func (a *applier) makeAll(dir uint32, names []string) (made uint32, why string, err error) {
	if int(a.inodes[dir].depth)+len(names) > maxDepth {
		return 0, "too many directories on the way", nil
	}
	for _, name := range names {
		if err := a.step(1); err != nil {
			return 0, "", err
		}
		if a.implied++; a.implied > maxImplied+a.count {
			return 0, "", fmt.Errorf("%w: more than %d directories that no entry names", ErrTooLarge, a.implied-1)
		}
		if err := a.remove(a.names[place{dir, name}]); err != nil {
			return 0, "", err
		}
		inode := uint32(len(a.inodes)) //nolint:gosec // bounded by the budget
		a.inodes = append(a.inodes, impliedDir(a.inodes[dir].depth+1))
		at := a.name(dir, name, inode)
		if a.hadEntry(dir, name) {
			a.dents[at].unpacked = a.k + 1
		}
		dir = inode
	}
	return dir, "", nil
}
