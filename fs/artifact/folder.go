package artifact

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// A Folder is a directory of files/: names that layers have, and what is in the
// archives that are unpacked into it. Where both have a name, or two archives,
// layers are written one after the other, as oras pull does it: of two files the
// later layer's is there, and directories are merged. Of a file and a directory,
// where oras gives up, it is what the manifest names.
type Folder struct {
	Names    []string // in the order in which they were given
	Children map[string]Entry
	Archives []Archive // in the manifest's order
}

// An Entry is a folder, or what the layer with that index is there.
type Entry struct {
	Folder *Folder
	Layer  int
	As     Kind
	Path   string // in the layer's archive, of an archived file
	Size   int64  // likewise, in bytes
}

// A Kind is what a layer is under a name in files/.
type Kind int

// The kinds.
const (
	Blob     Kind = iota // a file: the layer itself
	Archived             // a file: what its archive has at the path
	Chart                // a directory: its archive as Helm unpacks it, see ChartPath
)

// An Archive is that of a layer which is unpacked into a folder.
type Archive struct {
	Layer int    // or AllLayers
	Path  string // in the archive: what is below it is in the folder
	// Alone is that the path is used only where the archive has nothing outside of
	// it. Else, and where it has nothing there, all of the archive is shown.
	Alone bool
}

// AllLayers is in the place of a layer's index: all of them, each unpacked over
// those before it.
const AllLayers = -1

func newFolder() *Folder {
	return &Folder{Children: map[string]Entry{}}
}

// errTaken is that a name is another layer's.
var errTaken = errors.New("another layer has that name")

// at is the folder at a path below this one; it is made if need be.
func (f *Folder) at(elements []string) (*Folder, error) {
	for _, element := range elements {
		child, ok := f.Children[element]
		if !ok {
			child = Entry{Folder: newFolder()}
			f.put(element, child)
		}
		if child.Folder == nil {
			return nil, fmt.Errorf("%q: %w, and is a file there", element, errTaken)
		}
		f = child.Folder
	}
	return f, nil
}

// add puts what isn't a folder at a path below this one.
func (f *Folder) add(elements []string, e Entry) error {
	last := len(elements) - 1
	f, err := f.at(elements[:last])
	if err != nil {
		return err
	}
	if _, taken := f.Children[elements[last]]; taken {
		return errTaken
	}
	f.put(elements[last], e)
	return nil
}

// unpack has an archive unpacked into the folder at a path below this one.
func (f *Folder) unpack(elements []string, archive Archive) error {
	f, err := f.at(elements)
	if err != nil {
		return err
	}
	f.Archives = append(f.Archives, archive)
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
	elements, err := splitPath(title)
	if err == nil && len(elements) == 0 {
		err = errors.New("the path is the directory itself")
	}
	return elements, err
}

// splitPath is SplitPath for what may be the directory itself.
func splitPath(title string) ([]string, error) {
	if title == "" {
		return nil, errors.New("there is no path")
	}
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
	if len(elements) > maxDepth {
		return nil, fmt.Errorf("a path of %d elements, %d are the most", len(elements), maxDepth)
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
