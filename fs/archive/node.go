package archive

// An Attr is what stat(2) tells of a node.
type Attr struct {
	Type     Type
	Mode     uint32 // permissions, setuid, setgid, sticky
	UID, GID uint32
	Size     int64 // of a file and of a symbolic link; bytes
	Sec      int64 // time of modification, since 1970
	Nsec     uint32
	Links    uint32 // names of a file; 1 for a directory, which is no count
	// Major and Minor are a device's.
	Major, Minor uint32
}

func (n Node) inode() inode { return n.image.index(n.at).inode(n.at.inode) }

// empty says that n is the root of an image without layers.
func (n Node) empty() bool { return len(n.image.layers) == 0 }

// Path is the node's path from the root, "" for the root itself.
func (n Node) Path() string { return n.path }

// Name is the last element of its path.
func (n Node) Name() string {
	_, name, _ := cutLast(n.path)
	return name
}

// Image is the image that the node is of.
func (n Node) Image() *Image { return n.image }

// Implied tells whether no entry names the directory.
func (n Node) Implied() bool { return !n.empty() && n.inode().implied() }

// Type is what the node is.
func (n Node) Type() Type {
	if n.empty() {
		return TypeDir
	}
	return n.inode().typ()
}

// Attr is what is known of the node.
func (n Node) Attr() Attr {
	if n.empty() {
		return Attr{Type: TypeDir, Mode: 0o755, Links: 1}
	}
	i := n.inode()
	a := Attr{
		Type: i.typ(), Mode: i.u32(0) & modeMask, UID: i.u32(4), GID: i.u32(8),
		Sec: i.mtime().sec, Nsec: i.mtime().nsec, Links: 1,
	}
	switch a.Type {
	case TypeRegular, TypeSymlink:
		a.Size = i.size()
	case TypeChar, TypeBlock:
		a.Major, a.Minor = i.u32(36), i.u32(40)
	}
	if a.Type != TypeDir {
		a.Links = n.links()
	}
	return a
}

// links counts the names that a file has in the image. Those that its layer
// gives it may be hidden, and upper layers may give it more.
func (n Node) links() uint32 {
	m := n.image
	named := n.inode().links()
	if m.raw || named == 1 && len(m.names[n.at]) == 0 {
		return named
	}
	m.mu.Lock()
	known, ok := m.links[n.at]
	m.mu.Unlock()
	if ok {
		return known
	}
	count := uint32(0)
	see := func(path string) {
		if at, ok := m.Walk(path); ok && at.at == n.at {
			count++
		}
	}
	m.index(n.at).linksOf(n.at.inode, see) // none where it has one name
	for _, path := range m.names[n.at] {
		see(path)
	}
	count = max(1, count)
	m.mu.Lock()
	m.links[n.at] = count
	m.mu.Unlock()
	return count
}

// Own tells whether the node is this image's own: its content is its layer's,
// but which names it has, or what is in it, depends on the other layers. What
// isn't is the same file in every image that has the layer.
func (n Node) Own() bool {
	if n.image.raw {
		return false
	}
	return n.Type() == TypeDir || len(n.image.names[n.at]) > 0 || n.links() != n.inode().links()
}

// Identity names the node's layer, and the node in it.
func (n Node) Identity() (layer string, number int) {
	if n.empty() {
		return "", 0
	}
	return n.image.layers[n.at.layer].Identity(), n.at.inode
}

// Verified tells whether what ReadAt gives is checked: see Layer.Verified.
func (n Node) Verified() bool { return n.image.layers[n.at.layer].Verified() }

// Blob is what the node's bytes come from, where they aren't checked by
// themselves: it is as trustworthy as they are.
func (n Node) Blob() Blob { return n.image.layers[n.at.layer].source.Blob }

// Target is where a symbolic link leads to.
func (n Node) Target() string {
	if n.Type() != TypeSymlink {
		return ""
	}
	return n.inode().target()
}

// Xattrs are the node's extended attributes, in the order of their names.
func (n Node) Xattrs() []Xattr {
	if n.empty() {
		return nil
	}
	list, err := n.inode().xattrs()
	if err != nil {
		return nil // parseIndex has looked at all of them
	}
	return list
}
