package archive

// The names of whiteouts (image specification, layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// whiteout applies entry i, which is one. It says that its directory is there, which is
// made where nothing is; below what is no directory it does nothing.
func (a *applier) whiteout(i int, path, name string) error {
	dir, why, err := a.directory(path, wantMade)
	if err != nil || why != "" {
		return err
	}
	if name == opaque {
		return a.clear(dir)
	}
	name = name[len(whiteout):]
	if name == "" || name == "." || name == ".." {
		a.complain(i, "a whiteout of no name")
		return nil
	}
	return a.remove(a.names[place{dir, name}])
}

// clear takes away what is below a directory unless this layer has had an entry for its
// path, whatever became of that since.
func (a *applier) clear(dir uint32) error {
	if a.wasCleared(dir) {
		return a.step(1)
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
