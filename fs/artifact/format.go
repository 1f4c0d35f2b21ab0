package artifact

import (
	"context"
	"log/slog"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// formats are those that say which names layers have in files/. A name that one
// has given stays that layer's: those that follow must do without it.
var formats = []format{
	{"titles", (*files).addTitled},
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
	root *Folder
	read ReadBlob
	log  *slog.Logger
}

// arrange asks every format for the names of the layers.
func arrange(ctx context.Context, m Manifest, read ReadBlob, log *slog.Logger) *Folder {
	f := &files{Manifest: m, root: newFolder(), read: read, log: log}
	for _, format := range formats {
		if err := format.add(f, ctx); err != nil {
			log.Warn("layers left out of files", "format", format.name, "error", err)
		}
	}
	return f.root
}

// place puts a layer at a path below files/. A path that would lead out of it,
// can't be a file's name or is taken already is left out, with a line in the log.
func (f *files) place(title string, file Entry) {
	if err := f.root.place(title, file); err != nil {
		f.skip(title, err)
	}
}

// skip logs that a layer isn't where a title says.
func (f *files) skip(title string, err error) {
	f.log.Warn("title left out of files", "title", title, "error", err)
}

// named tells whether an annotation says which name a layer has.
func named(desc ocispec.Descriptor) bool {
	return desc.Annotations[ocispec.AnnotationTitle] != "" || modelPackPath(desc) != ""
}

// addNames places layers by the names that their formats' own tools give them,
// "" for one that has none. Those of one name get digits of their digests, the
// same layer twice is one name. One that an annotation names has that name alone.
func (f *files) addNames(names []string) {
	type layerName struct {
		name   string
		digest digest.Digest
	}
	count, seen := map[string]int{}, map[layerName]bool{}
	for i, name := range names {
		if named(f.Layers[i]) {
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
		file := Entry{Layer: i}
		if saysTar(f.Layers[i].MediaType) {
			file.As = Unpacked
		}
		f.place(name, file)
	}
}

// shortDigest is the number of digits of a digest that a name shows where the
// whole would be too long.
const shortDigest = 12
