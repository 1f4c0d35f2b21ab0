package fakeregistry

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestTypes are the media types of what a registry serves as manifests.
// The last two are Docker's.
var manifestTypes = []string{
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
}

// AddLayout adds to a repository what an OCI image layout holds (image-spec,
// image-layout.md): each manifest that its index leads to, through further
// indexes too, with its tag, each with a subject as a referrer of that, and
// all that is left as blobs.
func (r *Registry) AddLayout(repo string, layout iofs.FS) error {
	content, err := iofs.ReadFile(layout, ocispec.ImageIndexFile)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	added := make(map[digest.Digest]bool)
	for _, desc := range index.Manifests {
		if err := r.addFromLayout(repo, layout, desc, added); err != nil {
			return err
		}
		if tag := desc.Annotations[ocispec.AnnotationRefName]; tag != "" {
			r.Tag(repo, desc.Digest, tag)
		}
	}
	return iofs.WalkDir(layout, ocispec.ImageBlobsDir, func(name string, entry iofs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		d := digest.Digest(strings.Replace(strings.TrimPrefix(name, ocispec.ImageBlobsDir+"/"), "/", ":", 1))
		if added[d] {
			return nil
		}
		content, err := iofs.ReadFile(layout, name)
		if err != nil {
			return err
		}
		r.AddWrongBlob(repo, d, content) // what is wrong in a layout stays wrong
		return nil
	})
}

// addFromLayout adds a manifest of a layout, and those that it names.
func (r *Registry) addFromLayout(repo string, layout iofs.FS, desc ocispec.Descriptor, added map[digest.Digest]bool) error {
	if added[desc.Digest] || !slices.Contains(manifestTypes, desc.MediaType) {
		return nil
	}
	content, err := iofs.ReadFile(layout, path.Join(ocispec.ImageBlobsDir, desc.Digest.Algorithm().String(), desc.Digest.Encoded()))
	if err != nil {
		return err
	}
	added[desc.Digest] = true
	r.AddWrongManifest(repo, desc.MediaType, desc.Digest, content)
	var m struct {
		ArtifactType string               `json:"artifactType"`
		Config       ocispec.Descriptor   `json:"config"`
		Manifests    []ocispec.Descriptor `json:"manifests"`
		Subject      *ocispec.Descriptor  `json:"subject"`
		Annotations  map[string]string    `json:"annotations"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if m.Subject != nil {
		referrer := ocispec.Descriptor{
			MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size,
			ArtifactType: m.ArtifactType, Annotations: m.Annotations,
		}
		if referrer.ArtifactType == "" {
			referrer.ArtifactType = m.Config.MediaType
		}
		r.AddReferrer(repo, m.Subject.Digest, referrer)
	}
	for _, child := range m.Manifests {
		if err := r.addFromLayout(repo, layout, child, added); err != nil {
			return err
		}
	}
	return nil
}

// OpenLayout unpacks a file NAME.tar.gz in memory and gives what is in its
// directory NAME.
func OpenLayout(file string) (iofs.FS, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	files := make(fstest.MapFS)
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if header.Typeflag != tar.TypeReg {
			continue // directories are those that files are in
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, header.Name, err)
		}
		files[path.Clean(header.Name)] = &fstest.MapFile{Data: content, Mode: 0o444, ModTime: header.ModTime}
	}
	return iofs.Sub(files, strings.TrimSuffix(filepath.Base(file), ".tar.gz"))
}

// AddReader adds a blob of size bytes that isn't held in memory. Its digest is
// believed.
func (r *Registry) AddReader(repo string, d digest.Digest, blob io.ReaderAt, size int64) ocispec.Descriptor {
	return r.addContent(repo, d, content{blob, size})
}
