package differential

import (
	"archive/tar"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

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
		e.pad = 1 + m.rng.Int64N(9000)
	}
	return m.dressed(e)
}

// dressed gives an entry attributes.
func (m *maker) dressed(e entry) entry {
	h := m.habits
	if h.modes && m.chance(3) {
		e.mode = pick[int64](m, 0, 0o400, 0o600, 0o700, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777)
		if e.kind == tar.TypeDir && !h.dirSetgid { // what is made in such a one has its group
			e.mode &^= 0o2000
		}
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
	e := usual(tar.TypeSymlink, p, "")
	switch n := m.rng.IntN(30); {
	case n < 14:
		e.link = m.toward(p)
	case n < 28:
		e.link = pick(m, m.anyPath(), path.Base(m.anyPath()), "/"+m.anyPath(), "../"+m.anyPath(), m.somewhere(), "/"+m.somewhere())
	default:
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

// toward is a target that leads from a link at p to a directory or a link that
// is there.
func (m *maker) toward(p string) string {
	dirs := m.paths(func(n *known) bool { return n.kind == tar.TypeDir || n.kind == tar.TypeSymlink })
	if len(dirs) == 0 {
		return path.Base(m.anyPath())
	}
	to := pick(m, dirs...)
	if m.chance(4) {
		return "/" + to
	}
	return must(filepath.Rel(path.Dir("/"+p), "/"+to))
}

// through is a path to the same thing by a link to its directory, if there is
// one.
func (m *maker) through(p string) string {
	links := m.paths(func(n *known) bool {
		to := path.Join("/", path.Dir(n.name), n.link)
		if strings.HasPrefix(n.link, "/") {
			to = path.Clean(n.link)
		}
		return n.kind == tar.TypeSymlink && to == path.Dir("/"+p)
	})
	if len(links) == 0 || m.chance(3) {
		return p
	}
	return pick(m, links...) + "/" + path.Base(p)
}

// hardlink links to something that is there, mostly; the entry repeats its
// attributes, as all that write layers do.
func (m *maker) hardlink(k int) {
	files := m.paths(func(n *known) bool { return n.kind != tar.TypeDir })
	if len(files) == 0 {
		return
	}
	target := pick(m, files...)
	at := *m.there[target]
	e := usual(tar.TypeLink, m.path(k), m.through(target))
	if m.habits.linkAttributes {
		e = m.dressed(e)
	} else {
		e.mode, e.uid, e.gid, e.mtime = at.mode, at.uid, at.gid, at.mtime
	}
	switch {
	case m.chance(25):
		e.link = m.anyPath()
	case m.chance(5):
		e.link = pick(m, "/", "./", "../") + target
	case m.habits.dots && m.chance(2):
		e.link = pick(m, m.somewhere()+"/../"+path.Base(target), target+"/.", m.anyPath()+"/../"+target)
	}
	m.put(k, e)
	at.layer, at.name = k, e.name
	m.there[path.Clean(e.name)] = &at
	if m.chance(4) {
		m.hardlink(k)
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
		target = m.through(pick(m, lower...))
	}
	m.parents(k, target)
	dir, base := path.Split(target)
	e := usual(tar.TypeReg, dir+".wh."+base, "")
	if m.chance(20) {
		e = usual(pick[byte](m, tar.TypeDir, tar.TypeSymlink, tar.TypeReg), pick(m, dir+".wh.", dir+".wh..wh.plnk", e.name), "")
		if e.kind == tar.TypeSymlink {
			e.link = base
		}
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
		dir = m.through(pick(m, dirs...)) + "/"
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
