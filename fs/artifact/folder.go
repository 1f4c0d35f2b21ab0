package artifact

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// A Folder is a directory of files/, made of the layers' names.
type Folder struct {
	Names    []string // in the order in which they were given
	Children map[string]Entry
}

// An Entry is a folder, or what the layer with that index is there.
type Entry struct {
	Folder *Folder
	Layer  int
	As     Kind
	Path   string // in the layer's archive, where it is opened
	Size   int64  // of an archived file, in bytes
}

// A Kind is what a layer is under files/.
type Kind int

// The kinds.
const (
	Blob          Kind = iota // a file: the layer itself
	Unpacked                  // a directory: what its archive has below the path
	UnpackedAlone             // likewise, if its archive has nothing outside of the path
	Archived                  // a file: what its archive has at the path
)

func newFolder() *Folder {
	return &Folder{Children: map[string]Entry{}}
}

// place puts a layer at a path below the folder.
func (f *Folder) place(title string, file Entry) error {
	elements, err := SplitPath(title)
	if err != nil {
		return err
	}
	return f.add(elements, file)
}

// add is place for a path that is split.
func (f *Folder) add(elements []string, file Entry) error {
	for ; len(elements) > 1; elements = elements[1:] {
		child, ok := f.Children[elements[0]]
		if !ok {
			child = Entry{Folder: newFolder()}
			f.put(elements[0], child)
		}
		if child.Folder == nil {
			return fmt.Errorf("%q is another layer's file", elements[0])
		}
		f = child.Folder
	}
	if _, ok := f.Children[elements[0]]; ok {
		return errors.New("another layer has that name")
	}
	f.put(elements[0], file)
	return nil
}

func (f *Folder) put(name string, e Entry) {
	f.Names = append(f.Names, name)
	f.Children[name] = e
}

// maxDepth bounds the elements of a path. Linux' paths end at 4,096 bytes.
const maxDepth = 64

// SplitPath gives the elements of a path that a manifest states, or says why it
// can't be one below a directory.
func SplitPath(title string) ([]string, error) {
	if path.IsAbs(title) {
		return nil, errors.New("the path is absolute")
	}
	var elements []string
	for element := range strings.SplitSeq(title, "/") {
		if element == "" || element == "." {
			continue
		}
		if err := checkElement(element); err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	if len(elements) == 0 || len(elements) > maxDepth {
		return nil, fmt.Errorf("a path of %d elements", len(elements))
	}
	return elements, nil
}

// checkElement says why a string can't be a name in a directory.
func checkElement(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q can't be a file's name", name)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes, %d are the most", len(name), maxName)
	case strings.ContainsAny(name, "/\x00"):
		return errors.New("the name holds a slash or a NUL")
	}
	return nil
}

// maxName is Linux' NAME_MAX, in bytes.
const maxName = 255
