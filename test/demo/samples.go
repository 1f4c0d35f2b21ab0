package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// created is when the samples were made, as they say themselves.
const created = "2025-06-01T12:00:00Z"

// addSamples adds one artifact of each kind that the demo shows.
func addSamples(r *fakeregistry.Registry) error {
	addGreeting(r)
	addSite(r)
	addModel(r)
	return addImage(r)
}

// file is a layer that is a file: it has a title.
func file(d ocispec.Descriptor, title, mediaType string) ocispec.Descriptor {
	d.MediaType = mediaType
	d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	return d
}

// addGreeting is a text file with annotations.
func addGreeting(r *fakeregistry.Registry) {
	greeting := file(r.AddBlob("hello", []byte("hello world\n")), "greeting.txt", "text/plain")
	greeting.Annotations["org.example.language"] = "en"
	r.AddArtifact("hello", "v1", "application/vnd.example.greeting.v1", map[string]string{
		ocispec.AnnotationCreated:     created,
		ocispec.AnnotationDescription: "a greeting",
		ocispec.AnnotationLicenses:    "Apache-2.0",
	}, greeting)
}

// addSite is several files, some of them in folders.
func addSite(r *fakeregistry.Registry) {
	const repo = "team/site"
	r.AddArtifact(repo, "v2", "application/vnd.example.site.v1", map[string]string{ocispec.AnnotationCreated: created},
		file(r.AddBlob(repo, []byte("<h1>It works</h1>\n")), "index.html", "text/html"),
		file(r.AddBlob(repo, []byte("h1 { color: teal }\n")), "css/style.css", "text/css"),
		file(r.AddBlob(repo, []byte("# The site\n\nServed from a registry.\n")), "docs/readme.md", "text/markdown"))
}

// addModel is a large file in a repository below a namespace: its size and any
// part of it can be read without fetching all of it.
func addModel(r *fakeregistry.Registry) {
	const repo, size = "team/models/tiny", 64 << 20
	r.AddArtifact(repo, "2025.06", "application/vnd.example.model.v1", map[string]string{ocispec.AnnotationCreated: created},
		file(r.AddBlob(repo, []byte(`{"layers": 2, "heads": 4}`+"\n")), "config.json", "application/json"),
		file(r.AddGenerated(repo, 1, size), "weights.bin", "application/octet-stream"))
}

// addImage is a container image with two tags.
func addImage(r *fakeregistry.Registry) error {
	const repo = "library/base"
	archive, compressed, err := pack("etc/os-release", "NAME=demo\n")
	if err != nil {
		return err
	}
	made, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return err
	}
	config, err := json.Marshal(ocispec.Image{
		Created:  &made,
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
	})
	if err != nil {
		return err
	}
	configDescriptor, layer := r.AddBlob(repo, config), r.AddBlob(repo, compressed)
	configDescriptor.MediaType, layer.MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    configDescriptor,
		Layers:    []ocispec.Descriptor{layer},
	})
	if err != nil {
		return err
	}
	pushed := r.AddManifest(repo, "1.0", ocispec.MediaTypeImageManifest, manifest)
	r.Tag(repo, pushed.Digest, "latest")
	return nil
}

// pack makes a layer of one file, and what it is before compression.
func pack(name, content string) (archive, compressed []byte, err error) {
	var plain, small bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return nil, nil, err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	z := gzip.NewWriter(&small)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, nil, err
	}
	// Close writes what the compressor still holds.
	err = z.Close()
	return plain.Bytes(), small.Bytes(), err
}
