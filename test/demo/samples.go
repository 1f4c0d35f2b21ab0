package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"runtime"
	"slices"
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
	for _, add := range []func(*fakeregistry.Registry) error{addImage, addIndex, addChart} {
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
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
	pushed, err := addPlatform(r, repo, "amd64", "etc/os-release", "NAME=demo\n")
	if err != nil {
		return err
	}
	r.Tag(repo, pushed.Digest, "1.0", "latest")
	return nil
}

// addPlatform is an image of one file for Linux on an architecture.
func addPlatform(r *fakeregistry.Registry, repo, architecture, name, content string) (ocispec.Descriptor, error) {
	archive, compressed, err := pack(entry{name, content})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	made, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := ocispec.Platform{OS: "linux", Architecture: architecture}
	config, err := json.Marshal(ocispec.Image{
		Created:  &made,
		Platform: platform,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	configDescriptor, layer := r.AddBlob(repo, config), r.AddBlob(repo, compressed)
	configDescriptor.MediaType, layer.MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	pushed, err := addManifest(r, repo, "", ocispec.Manifest{Config: configDescriptor, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	pushed.Platform = &platform
	return pushed, nil
}

// addManifest adds an image manifest. Its version and media type are filled in.
func addManifest(r *fakeregistry.Registry, repo, tag string, m ocispec.Manifest) (ocispec.Descriptor, error) {
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	content, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	pushed := r.AddManifest(repo, tag, m.MediaType, content)
	pushed.ArtifactType = m.ArtifactType
	return pushed, nil
}

// addIndex is one image for several platforms, this machine's among them, and
// an SBOM that refers to it.
func addIndex(r *fakeregistry.Registry) error {
	const repo = "team/server"
	architectures := []string{"amd64", "arm64"}
	if !slices.Contains(architectures, runtime.GOARCH) {
		architectures = append(architectures, runtime.GOARCH)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range architectures {
		image, err := addPlatform(r, repo, architecture, "etc/motd", "built for linux on "+architecture+"\n")
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, image)
	}
	content, err := json.Marshal(index)
	if err != nil {
		return err
	}
	pushed := r.AddManifest(repo, "1.4", index.MediaType, content)
	sbom := file(r.AddBlob(repo, []byte(`{"spdxVersion":"SPDX-2.3","name":"server"}`+"\n")), "sbom.spdx.json", "application/spdx+json")
	referrer, err := addManifest(r, repo, "", ocispec.Manifest{
		ArtifactType: "application/spdx+json",
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{sbom},
		Subject:      &pushed,
		Annotations:  map[string]string{ocispec.AnnotationCreated: created},
	})
	if err != nil {
		return err
	}
	r.AddReferrer(repo, pushed.Digest, referrer)
	return nil
}

// addChart is a Helm chart, as helm pushes one (Helm's documentation, "Use
// OCI-based registries").
func addChart(r *fakeregistry.Registry) error {
	const repo = "charts/web"
	_, compressed, err := pack(
		entry{"web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"},
		entry{"web/values.yaml", "greeting: hello\n"},
		entry{"web/templates/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  greeting: {{ .Values.greeting }}\n"})
	if err != nil {
		return err
	}
	config, layer := r.AddBlob(repo, []byte(`{"apiVersion":"v2","name":"web","version":"0.1.0"}`)), r.AddBlob(repo, compressed)
	config.MediaType = "application/vnd.cncf.helm.config.v1+json"
	layer.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	_, err = addManifest(r, repo, "0.1.0", ocispec.Manifest{
		Config:      config,
		Layers:      []ocispec.Descriptor{layer},
		Annotations: map[string]string{ocispec.AnnotationCreated: created},
	})
	return err
}

// An entry is a file of an archive.
type entry struct{ name, content string }

// pack makes a layer of files, and what it is before compression.
func pack(entries ...entry) (archive, compressed []byte, err error) {
	var plain, small bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content))}); err != nil {
			return nil, nil, err
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			return nil, nil, err
		}
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
