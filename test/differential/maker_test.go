package differential

import (
	"archive/tar"
	"fmt"
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
	symlinks, hardlinks, whiteouts, opaques, again     bool
	spellings, xattrs, devices, modes, owners, times   bool
	shuffled, oddNames, deep                           bool
	dirs                                               int  // how many parents have an entry: dirsNone…
	linkAttributes, ownWhiteouts, wildWhiteouts, dots  bool // what containerd and umoci often disagree on
	dirXattrs, oddXattrs, oddTypes, oddTimes, unfitted bool
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
		dirXattrs: seldom(), oddXattrs: seldom(), oddTypes: m.chance(20), oddTimes: m.chance(20), unfitted: seldom(),
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

// act writes one more entry, or one with what belongs to it.
func (m *maker) act(k int) {
	h := m.habits
	switch n := m.rng.IntN(20); {
	case n < 4 && h.symlinks:
		m.put(k, m.symlink(m.path(k)))
	case n < 7 && h.hardlinks && len(m.there) > 0:
		m.hardlink(k)
	case n < 10 && h.whiteouts && (k > 0 || h.wildWhiteouts):
		m.whiteout(k)
	case n < 12 && h.opaques && (k > 0 || h.wildWhiteouts):
		m.opaque(k)
	case n < 13 && h.devices:
		e := usual(pick[byte](m, tar.TypeChar, tar.TypeBlock, tar.TypeFifo), m.path(k), "")
		if e.kind != tar.TypeFifo {
			e.major, e.minor = pick[int64](m, 1, 8, 250), pick[int64](m, 0, 3, 70000)
		}
		m.put(k, m.dressed(e))
	case n < 15:
		m.put(k, m.dressed(usual(tar.TypeDir, m.path(k), "")))
	case n == 15 && h.oddTypes:
		e := usual(pick[byte](m, 0, 0, tar.TypeCont, tar.TypeXGlobalHeader), m.path(k), "")
		e.content = pick(m, "", "odd")
		m.put(k, e)
	default:
		m.put(k, m.file(m.path(k)))
	}
}

func (m *maker) file(p string) entry {
	e := usual(tar.TypeReg, p, "")
	m.files++
	if !m.chance(6) {
		e.content = fmt.Sprintf("%d", m.files)
	}
	if m.chance(12) {
		e.content += strings.Repeat(" and more", 1+m.rng.IntN(900))
	}
	return m.dressed(e)
}

// dressed gives an entry attributes.
func (m *maker) dressed(e entry) entry {
	h := m.habits
	if h.modes && m.chance(3) {
		e.mode = pick[int64](m, 0, 0o400, 0o600, 0o700, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777)
	}
	if h.owners && m.chance(3) {
		e.uid, e.gid = pick[int64](m, 0, 1, 1000, 65534, 3_000_000, 1<<32-2), pick[int64](m, 0, 5, 1000, 65534, 3_000_000)
	}
	if h.times && m.chance(2) {
		e.mtime = pick[int64](m, 0, 1e9, 1_700_000_000_123_456_789, 1_600_000_000_000_000_001, 4_102_444_800_500_000_000)
	}
	if h.oddTimes && m.chance(3) {
		e.mtime = pick[int64](m, -1e9, -500_000_000, 9_200_000_000_000_000_000)
	}
	fits := e.kind == tar.TypeReg || e.kind == tar.TypeDir && h.dirXattrs || h.oddXattrs
	if h.xattrs && fits && m.chance(3) {
		e.xattrs = map[string]string{"user." + pick(m, "a", "b"): pick(m, "1", "2", "\x00\xff=\n", strings.Repeat("v", 300))}
		if m.chance(3) {
			e.xattrs["user.c.d"] = "more"
		}
		if h.oddXattrs && m.chance(2) {
			e.xattrs[pick(m, "user.empty", "trusted.x", "security.x")] = pick(m, "", "y")
		}
	}
	return e
}

func (m *maker) symlink(p string) entry {
	e := usual(tar.TypeSymlink, p, pick(m, m.anyPath(), path.Base(m.anyPath()), "/"+m.anyPath(), "../"+m.anyPath(), m.somewhere(), m.somewhere(), "/"+m.somewhere()))
	if m.chance(15) {
		e.link = pick(m, ".", "/", "..", "./", path.Base(p), "missing")
	}
	if m.habits.dots && m.chance(2) {
		e.link = pick(m, m.somewhere()+"/../"+m.anyPath(), "/"+m.somewhere()+"/../"+m.anyPath(), m.somewhere()+"/..", "./"+m.anyPath()+"/")
	}
	// One that leads below itself costs containerd seconds until it refuses it.
	if to := path.Join("/", path.Dir(p), e.link); strings.HasPrefix(to, "/"+p+"/") || strings.HasPrefix(e.link, "/"+p+"/") {
		e.link = path.Base(p)
	}
	if m.chance(3) {
		e = m.dressed(e)
		e.mode = 0o777
	}
	return e
}

// hardlink links to something that is there, mostly; the entry repeats its
// attributes, as all that write layers do.
func (m *maker) hardlink(k int) {
	target := m.somewhere()
	at := m.there[target]
	for range 4 {
		if at != nil && at.kind != tar.TypeDir {
			break
		}
		target = m.somewhere()
		at = m.there[target]
	}
	e := usual(tar.TypeLink, m.path(k), target)
	if at != nil && !m.habits.linkAttributes {
		e.mode, e.uid, e.gid, e.mtime = at.mode, at.uid, at.gid, at.mtime
	} else {
		e = m.dressed(e)
		e.xattrs = nil
	}
	switch {
	case m.chance(25):
		e.link = m.anyPath()
	case m.chance(5):
		e.link = pick(m, "/", "./", "../") + target
	case m.habits.dots && m.chance(2):
		e.link = pick(m, m.somewhere()+"/../"+path.Base(target), target+"/.", m.anyPath()+"/../"+target)
	}
	if at != nil && at.kind == tar.TypeDir {
		return
	}
	m.put(k, e)
	if at != nil {
		linked := *at
		linked.layer = k
		m.there[path.Clean(e.name)] = &linked
	}
}

// whiteout hides something of the layers below, and sometimes makes it anew,
// before or after.
func (m *maker) whiteout(k int) {
	target := m.anyPath()
	if !m.habits.wildWhiteouts {
		lower := m.paths(func(n *known) bool { return n.layer < k || m.habits.ownWhiteouts })
		if len(lower) == 0 {
			return
		}
		target = pick(m, lower...)
	}
	m.parents(k, target)
	dir, base := path.Split(target)
	e := usual(tar.TypeReg, dir+".wh."+base, "")
	if m.chance(20) {
		e = usual(pick[byte](m, tar.TypeDir, tar.TypeSymlink, tar.TypeReg), pick(m, dir+".wh.", dir+".wh..wh.plnk", e.name), "x")
	}
	m.gone(target)
	at := len(m.made.layers[k].entries)
	if m.chance(3) {
		m.put(k, pick(m, m.file(target), m.dressed(usual(tar.TypeDir, target, "")), m.file(target+"/"+pick(m, m.names...))))
	}
	if m.habits.ownWhiteouts && m.chance(3) {
		at = len(m.made.layers[k].entries)
	}
	m.insert(k, e, at)
}

// opaque makes a directory opaque, at the beginning of the layer, at its end so
// far, or where it stands.
func (m *maker) opaque(k int) {
	dirs := m.paths(func(n *known) bool { return n.kind == tar.TypeDir || n.kind == tar.TypeSymlink })
	dir := ""
	switch {
	case len(dirs) > 0 && !m.chance(12):
		dir = pick(m, dirs...) + "/"
	case m.habits.wildWhiteouts:
		dir = m.anyPath() + "/"
	}
	if dir != "" && !m.habits.wildWhiteouts && m.habits.dirs != dirsNone {
		m.parents(k, dir+"x")
	}
	for p, n := range m.there {
		if strings.HasPrefix(p+"/", dir) && p+"/" != dir && n.layer < k {
			delete(m.there, p)
		}
	}
	if e := usual(tar.TypeReg, dir+".wh..wh..opq", ""); m.chance(3) {
		m.insert(k, e, 0)
	} else {
		m.insert(k, e, len(m.made.layers[k].entries))
	}
}

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

// padSize is more than what is verified before it is served, so that a layer
// with so much in it is looked at while it arrives.
const padSize = 9 << 20

// hold has some images' layers come late at the first look. Few are large: of
// those all that is in front of the pad may be seen early.
func (m *maker) hold() {
	switch n := m.rng.IntN(120); {
	case n < 20:
		m.made.held = 1 + m.rng.IntN(len(m.made.layers))
	case n < 23:
		m.made.held = 1 + m.rng.IntN(len(m.made.layers))
		l := &m.made.layers[m.made.held-1]
		pad := usual(tar.TypeReg, "pad", "")
		pad.pad = padSize + m.rng.Int64N(1<<20)
		l.entries = slices.Insert(l.entries, m.rng.IntN(len(l.entries)+1), pad)
	}
}
