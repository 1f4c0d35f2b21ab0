package fs

import (
	"context"
	"fmt"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/images"
)

// A selection gathers the parts of artifacts.
type selection struct {
	ctx    context.Context
	wanted func(path string) bool
	known  bool // see Contents.Parts
	parts  []*Part
	met    map[string]bool // of whole blobs and of trees
	found  int             // what was asked for and is there, whether or not it was met before
}

// take takes what is at a path of an artifact's directory.
func (s *selection) take(a *repositoryArtifact, path string) error {
	before := s.found
	err := s.at(a, path)
	if err != nil || s.found > before {
		return err
	}
	switch {
	case s.wanted != nil:
		return fmt.Errorf("%w: %s has nothing there that is wanted", ErrPath, a.reference())
	case path != "":
		return fmt.Errorf("%w: %s has no %s", ErrPath, a.reference(), path)
	}
	return nil
}

func (s *selection) at(a *repositoryArtifact, path string) error {
	if rest, ok := below(path, "files"); ok {
		s.files(a, a.Files, "", rest)
		return nil
	}
	if rest, ok := below(path, "rootfs"); ok && a.Image {
		return s.rootfs(a, rest)
	}
	if rest, ok := below(path, "layers"); ok {
		s.layers(a, rest)
		return nil
	}
	switch {
	case a.Config != nil && path == artifact.ConfigName(a.Config.MediaType):
		s.config(a)
		return nil
	case path != "":
		return fmt.Errorf("%w: %s of %s isn't files, rootfs, layers, platforms, the config, or in one of them", ErrPath, path, a.reference())
	case a.Image:
		s.config(a)
		return s.rootfs(a, "")
	case s.wanted != nil:
		s.files(a, a.Files, "", "")
	default:
		s.config(a)
		s.layers(a, "")
	}
	return nil
}

func (s *selection) config(a *repositoryArtifact) {
	if a.Config != nil {
		s.blob(a.repo, *a.Config, artifact.ConfigName(a.Config.MediaType))
	}
}

// layers takes the layer of that name in layers/, raw or opened, or all. Of what is in
// one that is opened it is all.
func (s *selection) layers(a *repositoryArtifact, path string) {
	name, inside, _ := strings.Cut(path, "/")
	for i, l := range a.LayerNames {
		if l.Raw != "" && (name == "" || name == l.Raw && inside == "" || name == l.Opened) {
			s.layer(a, i, "layers/"+l.Raw)
		}
	}
}

// layer takes all of a layer.
func (s *selection) layer(a *repositoryArtifact, i int, name string) {
	if a.Layers[i].Digest != "" {
		s.blob(a.repo, a.Layers[i], name)
	}
}

// files takes what is below a path of a folder of files/, at is the folder's. Of an
// archive that is unpacked there it is all, whatever is wanted of it.
func (s *selection) files(a *repositoryArtifact, f *artifact.Folder, at, below string) {
	for _, u := range f.Archives {
		for i := range a.Layers {
			if (u.Layer == i || u.Layer == artifact.AllLayers) && s.wants(at) {
				s.layer(a, i, "layers/"+a.LayerNames[i].Raw)
			}
		}
	}
	first, rest, _ := strings.Cut(below, "/")
	for _, name := range f.Names {
		e, here := f.Children[name], path.Join(at, name)
		switch {
		case first != "" && name != first:
		case e.Folder != nil:
			s.files(a, e.Folder, here, rest)
		case (rest == "" || e.As != artifact.Blob) && s.wants(here):
			s.layer(a, e.Layer, "files/"+here)
		}
	}
}

// wants tells whether something at a path is wanted.
func (s *selection) wants(path string) bool { return s.wanted == nil || path == "" || s.wanted(path) }

// rootfs takes what is below a path of an image's root file system: all of it is its
// layers, and the tree that they make.
func (s *selection) rootfs(a *repositoryArtifact, path string) error {
	image := imageLayers{repo: a.repo, manifest: a.Digest, layer: artifact.AllLayers}.image()
	if path == "" && s.wanted == nil {
		s.layers(a, "")
		s.tree(a, image)
		return nil
	}
	tree := image.Known(s.ctx)
	if tree == nil && s.known {
		s.layers(a, "")
		return nil
	}
	if tree == nil {
		var err error
		if tree, err = image.Tree(s.ctx); err != nil {
			return err
		}
	}
	files, err := s.filesOf(tree, a, path)
	if err != nil || len(files) == 0 && s.wanted != nil {
		return err
	}
	needed, err := image.Ranges(s.ctx, tree, files, s.known)
	if err != nil {
		return err
	}
	s.tree(a, image)
	for _, n := range needed {
		s.needed(a, image, n)
	}
	return nil
}

// filesOf are the files of a tree, at a path and below it, that are wanted.
func (s *selection) filesOf(tree *images.Tree, a *repositoryArtifact, path string) ([]archive.Node, error) {
	top, ok := tree.At(path)
	if !ok {
		return nil, fmt.Errorf("%w: %s has no rootfs/%s (links aren't followed)", ErrPath, a.reference(), path)
	}
	var files []archive.Node
	var walk func(n archive.Node, at string) error
	walk = func(n archive.Node, at string) error {
		switch n.Type() {
		case archive.TypeRegular:
			if s.wants(at) {
				files = append(files, n)
			}
		case archive.TypeDir:
			for child := range n.Entries("") {
				if err := walk(child, strings.TrimPrefix(at+"/"+child.Name(), "/")); err != nil {
					return err
				}
			}
		}
		return s.ctx.Err()
	}
	return files, walk(top, path)
}

// blob takes all of a blob.
func (s *selection) blob(r *repository, desc ocispec.Descriptor, name string) {
	s.found++
	if key := desc.Digest.String(); !s.met[key] {
		s.met[key] = true
		s.parts = append(s.parts, &Part{Name: name, Digest: desc.Digest, Size: desc.Size, what: wholeBlob{r, plain(desc)}})
	}
}

// needed takes what is needed of an image's layer.
func (s *selection) needed(a *repositoryArtifact, image *images.Image, n images.Needed) {
	desc, name := a.Layers[n.Layer], "layers/"+a.LayerNames[n.Layer].Raw
	parts := layerParts{a.repo, plain(desc), image, n}
	switch size := parts.size(); {
	case size == desc.Size || desc.Size <= cache.SmallBlob:
		s.blob(a.repo, desc, name)
	case size > 0 && !s.met[desc.Digest.String()]:
		s.parts = append(s.parts, &Part{Name: "parts of " + name, Digest: desc.Digest, Size: size, what: parts})
	}
}

// tree takes the tree of an image.
func (s *selection) tree(a *repositoryArtifact, image *images.Image) {
	s.found++
	if key := "tree " + a.Digest.String(); !s.met[key] {
		s.met[key] = true
		s.parts = append(s.parts, &Part{Name: "index of rootfs", Digest: a.Digest, what: imageTree{image}})
	}
}
