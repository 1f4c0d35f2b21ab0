package fs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A folder is a directory of files/, made of the layers' names.
type folder struct {
	names    []string // those that annotations state first, in the manifest's order
	children map[string]fileEntry
}

// A fileEntry is a folder, or what the layer with that index is there.
type fileEntry struct {
	folder *folder
	layer  int
	as     fileKind
	path   string // in the layer's archive, where it is opened
	size   int64  // of an archived file, in bytes
}

// A fileKind is what a layer is under files/.
type fileKind int

const (
	asBlob     fileKind = iota // a file: the layer itself
	asUnpacked                 // a directory: what its archive has below the path
	asAlone                    // likewise, if its archive has nothing outside of the path
	asArchived                 // a file: what its archive has at the path
)

func newFolder() *folder {
	return &folder{children: map[string]fileEntry{}}
}

// titledFiles arranges the layers by their titles
// (org.opencontainers.image.title), or where they have none by ModelPack's file
// paths. Both may hold folders. A title that would lead out of the directory,
// can't be a file's name or is taken already is left out and given to skipped.
func titledFiles(layers []ocispec.Descriptor, skipped func(title string, err error)) *folder {
	root := newFolder()
	for i, desc := range layers {
		title, file := desc.Annotations[ocispec.AnnotationTitle], fileEntry{layer: i}
		switch {
		case title == "":
			title, file = modelPackFile(i, desc, skipped)
		case desc.Annotations[annotationUnpack] == "true":
			file.as, file.path = asUnpacked, title
		}
		if title == "" {
			continue
		}
		if err := root.place(title, file); err != nil {
			skipped(title, err)
		}
	}
	return root
}

// named tells whether an annotation says which name a layer has.
func named(desc ocispec.Descriptor) bool {
	return desc.Annotations[ocispec.AnnotationTitle] != "" || modelPackPath(desc) != ""
}

// addNames places layers by the names that their formats' own tools give them,
// "" for one that has none. Those of one name get digits of their digests, the
// same layer twice is one name. A name that an annotation stated stays that
// layer's.
func (f *folder) addNames(layers []ocispec.Descriptor, names []string, skipped func(title string, err error)) {
	type layerName struct {
		name   string
		digest digest.Digest
	}
	count, seen := map[string]int{}, map[layerName]bool{}
	for i, name := range names {
		if key := (layerName{name, layers[i].Digest}); name != "" && !seen[key] {
			seen[key] = true
			count[name]++
		}
	}
	clear(seen)
	for i, name := range names {
		key := layerName{name, layers[i].Digest}
		if name == "" || seen[key] {
			continue
		}
		seen[key] = true
		if count[name] > 1 {
			end := path.Ext(name)
			name = strings.TrimSuffix(name, end) + "-" + layers[i].Digest.Encoded()[:hexDigits] + end
		}
		file := fileEntry{layer: i}
		if saysTar(layers[i].MediaType) {
			file.as = asUnpacked
		}
		if err := f.place(name, file); err != nil {
			skipped(name, err)
		}
	}
}

// annotationUnpack marks what oras made of a directory: a tar of it, whose
// names begin with the title.
const annotationUnpack = "io.deis.oras.content.unpack"

// place puts a layer at a path below the folder.
func (f *folder) place(title string, file fileEntry) error {
	elements, err := splitTitle(title)
	if err != nil {
		return err
	}
	return f.add(elements, file)
}

// add is place for a path that is split.
func (f *folder) add(elements []string, file fileEntry) error {
	for ; len(elements) > 1; elements = elements[1:] {
		child, ok := f.children[elements[0]]
		if !ok {
			child = fileEntry{folder: newFolder()}
			f.put(elements[0], child)
		}
		if child.folder == nil {
			return fmt.Errorf("%q is another layer's file", elements[0])
		}
		f = child.folder
	}
	if _, ok := f.children[elements[0]]; ok {
		return errors.New("another layer has that name")
	}
	f.put(elements[0], file)
	return nil
}

func (f *folder) put(name string, e fileEntry) {
	f.names = append(f.names, name)
	f.children[name] = e
}

// maxDepth bounds the folders of a title. Linux' paths end at 4,096 bytes.
const maxDepth = 64

// splitTitle gives the elements of a title, or says why it can't be a path
// below files/.
func splitTitle(title string) ([]string, error) {
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
