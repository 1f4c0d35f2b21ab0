package differential

import (
	"archive/tar"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// A maker makes the image of a seed. It keeps a rough idea of what is where, by
// the paths as they were written, so that most of what it writes means
// something; it knows nothing of links on the way.
type maker struct {
	rng    *rand.Rand
	names  []string
	habits habits
	made   *image
	there  map[string]*known
	files  int // so far: each has a content of its own
}

// A known is what the maker believes to be at a path.
type known struct {
	entry   // as it was written; of an implied directory nothing
	implied bool
	layer   int
}

// habits are what an image has at all. Each image has some only: those with
// everything would look alike, and most would be refused.
type habits struct {
	symlinks, hardlinks, whiteouts, opaques, again      bool
	spellings, xattrs, devices, modes, owners, times    bool
	shuffled, oddNames, deep                            bool
	dirs                                                int  // how many parents have an entry: dirsNone…
	linkAttributes, ownWhiteouts, wildWhiteouts, dots   bool // what containerd and umoci often disagree on
	dirXattrs, dirSetgid, oddXattrs, oddTypes, oddTimes bool
	unfitted                                            bool // what containerd refuses stays
}

const (
	dirsNone = iota // as Bazel's rules write
	dirsSome
	dirsAll
)

// layers of an image, and entries of a layer that the maker decides on: with
// their parents they are more.
const (
	maxLayers  = 4
	maxEntries = 9
)

// makeImage makes the image of a seed. refused gives which entry, if any, makes that no
// image: mostly it is left out then.
func makeImage(seed uint64, refused func(*image) (layer, entry int, is bool)) *image {
	m := &maker{rng: rand.New(rand.NewPCG(seed, 9)), made: new(image), there: map[string]*known{}}
	m.habits = m.someHabits()
	m.names = m.someNames()
	for k := range 1 + m.rng.IntN(maxLayers) {
		m.makeLayer(k)
	}
	if !m.habits.unfitted {
		m.fit(refused)
	}
	m.hold()
	return m.made
}

// chance is true once in n times.
func (m *maker) chance(n int) bool { return m.rng.IntN(n) == 0 }

func (m *maker) someHabits() habits {
	often, seldom := func() bool { return m.chance(2) }, func() bool { return m.chance(9) }
	return habits{
		symlinks: !m.chance(3), hardlinks: often(), whiteouts: !m.chance(3), opaques: often(), again: often(),
		spellings: seldom(), xattrs: often(), devices: m.chance(4), modes: often(), owners: often(), times: often(),
		shuffled: seldom(), oddNames: seldom(), deep: seldom(), dirs: m.rng.IntN(3),
		linkAttributes: seldom(), ownWhiteouts: seldom(), wildWhiteouts: seldom(), dots: seldom(),
		dirXattrs: seldom(), dirSetgid: seldom(), oddXattrs: seldom(), oddTypes: m.chance(20), oddTimes: m.chance(20),
		unfitted: seldom(),
	}
}

func (m *maker) someNames() []string {
	names := []string{"a", "b", "c", "d", "e"}[:2+m.rng.IntN(4)]
	if m.habits.oddNames {
		odd := []string{"!a", ".a", "A b", "é", "\xff\xfe", `q"\`, strings.Repeat("n", 120), "a.wh.b", "..a", "\n"}
		names = append(names, odd[m.rng.IntN(len(odd))], odd[m.rng.IntN(len(odd))])
	}
	return names
}

func (m *maker) makeLayer(k int) {
	l := layer{format: pick(m, "tar", "gzip", "gzip", "members", "zstd"), ending: endWhole}
	if m.chance(6) {
		l.ending = pick(m, endings...)
	}
	m.made.layers = append(m.made.layers, l)
	for range 1 + m.rng.IntN(maxEntries) {
		m.act(k)
	}
	entries := m.made.layers[k].entries
	if m.habits.shuffled {
		m.rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	}
	if m.chance(4) {
		m.insert(k, usual(tar.TypeDir, pick(m, "./", "/", "."), ""), 0)
	}
}

func pick[T any](m *maker, of ...T) T { return of[m.rng.IntN(len(of))] }

// put writes an entry, its parents first, and remembers it.
func (m *maker) put(k int, e entry) {
	p := path.Clean(e.name)
	m.parents(k, p)
	if before := m.there[p]; before == nil || before.kind != tar.TypeDir || e.kind != tar.TypeDir {
		m.gone(p)
	}
	m.there[p] = &known{entry: e, layer: k}
	e.name = m.spelled(e)
	m.insert(k, e, len(m.made.layers[k].entries))
}

func (m *maker) insert(k int, e entry, at int) {
	l := &m.made.layers[k]
	l.entries = slices.Insert(l.entries, at, e)
}

// gone forgets a path and what is below it.
func (m *maker) gone(p string) {
	maps.DeleteFunc(m.there, func(q string, _ *known) bool { return q == p || strings.HasPrefix(q, p+"/") })
}

// parents writes entries of the directories on the way, or doesn't.
func (m *maker) parents(k int, p string) {
	for i, c := range p {
		if c != '/' || i == 0 {
			continue
		}
		dir := p[:i]
		n := m.there[dir]
		if n != nil && (n.layer == k && !n.implied || n.kind != tar.TypeDir) {
			continue
		}
		if m.habits.dirs == dirsNone || m.habits.dirs == dirsSome && m.chance(2) {
			if n == nil {
				m.there[dir] = &known{entry: usual(tar.TypeDir, dir, ""), implied: true, layer: k}
			}
			continue
		}
		e := m.dressed(usual(tar.TypeDir, dir, ""))
		if n != nil && !n.implied {
			e = n.entry
		}
		m.there[dir] = &known{entry: e, layer: k}
		e.name = m.spelled(e)
		m.insert(k, e, len(m.made.layers[k].entries))
	}
}

// spelled is an entry's name as it is written.
func (m *maker) spelled(e entry) string {
	name := e.name
	if e.kind == tar.TypeDir {
		name += "/"
	}
	if !m.habits.spellings || !m.chance(3) {
		return name
	}
	dir, base := path.Split(e.name)
	return pick(m, "./"+name, "/"+name, "../"+name, dir+"/"+base, dir+"./"+base, pick(m, m.names...)+"/../"+name, strings.ReplaceAll(name, "/", "//"), e.name+"/", dir+base)
}

// paths are those of what is there and fulfils a condition, in order.
func (m *maker) paths(is func(*known) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.there)), func(p string) bool { return !is(m.there[p]) })
}

// path is where something new goes: in place of what is there, below what is
// there, or anywhere.
func (m *maker) path(k int) string {
	lower := m.paths(func(n *known) bool { return n.layer < k || m.habits.again })
	if len(lower) > 0 && m.chance(4) {
		return pick(m, lower...)
	}
	dirs := m.paths(func(n *known) bool { return n.kind == tar.TypeDir || n.kind == tar.TypeSymlink })
	if len(dirs) > 0 && !m.chance(3) {
		return pick(m, dirs...) + "/" + pick(m, m.names...)
	}
	return m.anyPath()
}

// somewhere is a path where something is, if there is any.
func (m *maker) somewhere() string {
	if all := m.paths(func(*known) bool { return true }); len(all) > 0 {
		return pick(m, all...)
	}
	return m.anyPath()
}

// anyPath is some path of a few names.
func (m *maker) anyPath() string {
	depth := 1 + m.rng.IntN(3)
	if m.habits.deep && m.chance(4) {
		depth += m.rng.IntN(20)
	}
	var p []string
	for range depth {
		p = append(p, pick(m, m.names...))
	}
	return strings.Join(p, "/")
}

// fit leaves out what makes it no image.
func (m *maker) fit(refused func(*image) (layer, entry int, is bool)) {
	for range 12 {
		k, i, is := refused(m.made)
		if !is {
			return
		}
		l := &m.made.layers[k]
		if i >= len(l.entries) { // only the layer's end told
			i = m.rng.IntN(len(l.entries))
		}
		l.entries = slices.Delete(l.entries, i, i+1)
	}
}

// padSize makes a layer with two such files one that is looked at while it arrives:
// what is in front of the first is known before the second is there.
const padSize = 5 << 20

// hold has some images' layers come late at the first look. Few are large.
func (m *maker) hold() {
	n := m.rng.IntN(120)
	if n < 23 {
		m.made.held = 1 + m.rng.IntN(len(m.made.layers))
	}
	if n < 3 {
		l := &m.made.layers[m.made.held-1]
		at := 0
		for k := range int64(2) {
			pad := usual(tar.TypeReg, pick(m, "pad", "pad2"), "")
			pad.pad = padSize + 1 + k
			at += m.rng.IntN(len(l.entries) - at + 1)
			l.entries = slices.Insert(l.entries, at, pad)
			at++
		}
	}
}
