package archive

// The names of whiteouts (image specification, layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// whiteout applies entry i, which is one. What there is no way to isn't there,
// and no way is made to it. But an opaque marker says that its directory is there: it
// is made where nothing is.
func (a *applier) whiteout(i int, path, name string) error {
	if name == opaque {
		return a.opaque(path)
	}
	dir, why, err := a.directory(path, false)
	if err != nil || why != "" {
		return err
	}
	name = name[len(whiteout):]
	if name == "" || name == "." || name == ".." {
		a.complain(i, "a whiteout of no name")
		return nil
	}
	return a.remove(a.names[place{dir, name}])
}

// opaque applies the marker in the directory at a path.
func (a *applier) opaque(path string) error {
	w := walk{applier: a, ahead: []string{path}}
	why, err := w.run()
	if err != nil || why != "" {
		return err
	}
	if len(w.beyond) > 0 && a.names[place{w.at, w.beyond[0]}] != 0 {
		return nil // it isn't a directory, and no directory takes its place
	}
	dir, why, err := a.directory(path, true)
	if err != nil || why != "" {
		return err
	}
	return a.clear(dir)
}

// clear takes away what is below a directory unless this layer has an entry for
// it, wherever in the tar that is.
func (a *applier) clear(dir uint32) error {
	if a.inodes[dir].cleared == a.k+1 {
		return nil
	}
	a.inodes[dir].cleared = a.k + 1
	for stack := []uint32{dir}; len(stack) > 0; {
		dir = stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for at := a.inodes[dir].first; at != 0; {
			if err := a.step(1); err != nil {
				return err
			}
			d := a.dents[at]
			switch {
			case d.unpacked != a.k+1:
				if err := a.remove(at); err != nil {
					return err
				}
			case a.inodes[d.inode].dir:
				stack = append(stack, d.inode)
			}
			at = d.next
		}
	}
	return nil
}
