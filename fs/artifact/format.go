package artifact

import (
	"context"
	"log/slog"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// formats are those that say where layers are in files/. A layer that one of them
// has named is left alone by those that follow, and keeps its name.
var formats = []format{
	{"titles", (*files).addTitled},
	{"ModelKit", (*files).addModelKit},
	{"ModelPack", (*files).addModelPack},
	{"Docker model", (*files).addDockerModel},
	{"Ollama model", (*files).addOllama},
	{"Helm chart", (*files).addChart},
}

// A format is a kind of artifact. add places the layers that it knows; an error
// is that it can't name them.
type format struct {
	name string
	add  func(f *files, ctx context.Context) error
}

// files is files/ while it is arranged.
type files struct {
	Manifest
	root  *Folder
	named []bool // the layers that a format has named
	read  ReadBlob
	log   *slog.Logger
}

// arrange asks every format for the names of the layers.
func arrange(ctx context.Context, m Manifest, read ReadBlob, log *slog.Logger) *Folder {
	f := &files{Manifest: m, root: newFolder(), named: make([]bool, len(m.Layers)), read: read, log: log}
	for _, format := range formats {
		if err := format.add(f, ctx); err != nil {
			log.Warn("layers left out of files", "format", format.name, "error", err)
		}
	}
	return f.root
}

// place puts a layer as a file at a path below files/. A path that would lead out
// of it, can't be a file's name or is taken already is left out, with a line in
// the log.
func (f *files) place(title string, file Entry) {
	f.named[file.Layer] = true
	elements, err := SplitPath(title)
	if err == nil {
		err = f.root.add(elements, file)
	}
	if err != nil {
		f.skip(title, err)
	}
}

// unpack has a layer's archive unpacked into the folder at a path below files/,
// which may be files/ itself.
func (f *files) unpack(title string, archive Archive) {
	f.named[archive.Layer] = true
	elements, err := splitPath(title)
	if err == nil {
		err = f.root.unpack(elements, archive)
	}
	if err != nil {
		f.skip(title, err)
	}
}

// skip logs that a layer isn't where a title says.
func (f *files) skip(title string, err error) {
	f.log.Warn("title left out of files", "title", title, "error", err)
}

// addNames places the layers that have no name yet by those that their formats'
// own tools give them, "" for one that has none. Those of one name get digits of
// their digests, the same layer twice is one name.
func (f *files) addNames(names []string) {
	type layerName struct {
		name   string
		digest digest.Digest
	}
	count, seen := map[string]int{}, map[layerName]bool{}
	for i, name := range names {
		if f.named[i] {
			names[i] = ""
			continue
		}
		if key := (layerName{name, f.Layers[i].Digest}); name != "" && !seen[key] {
			seen[key] = true
			count[name]++
		}
	}
	clear(seen)
	for i, name := range names {
		key := layerName{name, f.Layers[i].Digest}
		if name == "" || seen[key] {
			continue
		}
		seen[key] = true
		if count[name] > 1 {
			end := path.Ext(name)
			name = strings.TrimSuffix(name, end) + "-" + f.Layers[i].Digest.Encoded()[:shortDigest] + end
		}
		if saysTar(f.Layers[i].MediaType) {
			f.unpack(name, Archive{Layer: i})
		} else {
			f.place(name, Entry{Layer: i})
		}
	}
}

// shortDigest is the number of digits of a digest that a name shows where the
// whole would be too long.
const shortDigest = 12
