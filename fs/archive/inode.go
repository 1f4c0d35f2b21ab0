package archive

import (
	"encoding/binary"
	"sort"
)

// An inode is one record of the table, with the index it is in.
type inode struct {
	record
	x *index
}

func (x *index) inode(i int) inode { return inode{x.inodes.at(i), x} }

func (n inode) typ() Type     { return Type(n.u32(0) & typeMask) }
func (n inode) size() int64   { return int64(n.u64(16)) } //nolint:gosec // checked
func (n inode) links() uint32 { return n.u32(12) }
func (n inode) implied() bool { return n.record[60]&inodeImplied != 0 }

// parent is the directory that holds a directory.
func (n inode) parent() int { return int(n.u32(44)) }

// target is what a link leads to.
func (n inode) target() string { return string(n.x.bytes(n.u32(44), n.u32(48))) }

func (n inode) mtime() mtime { return mtime{int64(n.u64(24)), n.u32(32)} } //nolint:gosec // two's complement

func (n inode) xattrs() ([]Xattr, error) {
	raw := n.x.bytes(n.u32(52), n.u32(56))
	var list []Xattr
	for len(raw) > 0 {
		if len(raw) < 5 {
			return nil, damaged("attributes")
		}
		name, value := uint64(raw[0]), uint64(binary.LittleEndian.Uint32(raw[1:]))
		raw = raw[5:]
		if name+value > uint64(len(raw)) {
			return nil, damaged("attributes")
		}
		list = append(list, Xattr{string(raw[:name]), string(raw[name : name+value])})
		raw = raw[name+value:]
	}
	return list, nil
}

// A dirent is one name in a directory.
type dirent struct {
	name  string
	inode int
}

func (x *index) dirent(i int) dirent {
	r := x.dirents.at(i)
	return dirent{string(x.bytes(r.u32(0), uint32(binary.LittleEndian.Uint16(r[8:])))), int(r.u32(4))}
}

// nameOf is the name of a dirent where it lies.
func (x *index) nameOf(i int) []byte {
	r := x.dirents.at(i)
	return x.bytes(r.u32(0), uint32(binary.LittleEndian.Uint16(r[8:])))
}

// entriesOf is the range of dirents of a directory.
func (n inode) entriesOf() (first, end int) {
	first = int(n.u32(36))
	return first, first + int(n.u32(40))
}

// seek is the first dirent in a directory whose name isn't less than name.
func (x *index) seek(dir int, name string) int {
	first, end := x.inode(dir).entriesOf()
	return first + sort.Search(end-first, func(i int) bool { return string(x.nameOf(first+i)) >= name })
}

// child is the inode of that name in a directory.
func (x *index) child(dir int, name string) (int, bool) {
	i := x.seek(dir, name)
	if _, end := x.inode(dir).entriesOf(); i < end {
		if d := x.dirent(i); d.name == name {
			return d.inode, true
		}
	}
	return 0, false
}

// pathOf is the path of a directory from the root, without a slash at its ends.
func (x *index) pathOf(dir int) string {
	if dir == 0 {
		return ""
	}
	n := x.inode(dir)
	return join(x.pathOf(n.parent()), x.dirent(int(n.u32(48))).name)
}

// linksOf calls f with the paths of an inode that has several names.
func (x *index) linksOf(i int, f func(path string)) {
	first := sort.Search(x.links.len(), func(k int) bool { return int(x.links.at(k).u32(0)) >= i })
	for k := first; k < x.links.len() && int(x.links.at(k).u32(0)) == i; k++ {
		r := x.links.at(k)
		f(join(x.pathOf(int(r.u32(4))), x.dirent(int(r.u32(8))).name))
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
