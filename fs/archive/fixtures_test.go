package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// unpacked are the fixtures that a test has asked for; they don't change.
var unpacked sync.Map

// fixture is what is in test/testdata/NAME.tar.gz: its files by their paths
// below NAME/, such as "index.json" and "blobs/sha256/HEX". Nobody changes
// them.
func fixture(t testing.TB, name string) map[string][]byte {
	t.Helper()
	once, _ := unpacked.LoadOrStore(name, sync.OnceValues(func() (map[string][]byte, error) { return unpackFixture(name) }))
	files, err := once.(func() (map[string][]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func unpackFixture(name string) (map[string][]byte, error) {
	f, err := os.Open(filepath.Join("..", "..", "test", "testdata", name+".tar.gz"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			_, path, _ := strings.Cut(strings.TrimPrefix(h.Name, "./"), "/")
			if files[path], err = io.ReadAll(r); err != nil {
				return nil, err
			}
		}
	}
}

// A layoutFixture is a fixture that is an OCI image layout.
type layoutFixture map[string][]byte

func (l layoutFixture) blob(t testing.TB, d digest.Digest) []byte {
	t.Helper()
	data, ok := l["blobs/"+d.Algorithm().String()+"/"+d.Encoded()]
	if !ok {
		t.Fatalf("no blob %s in the fixture", d)
	}
	return data
}

// anyManifest is an image's manifest or an index.
type anyManifest struct {
	ocispec.Manifest
	Manifests []ocispec.Descriptor `json:"manifests"`
}

func (l layoutFixture) manifest(t testing.TB, d digest.Digest) anyManifest {
	t.Helper()
	var m anyManifest
	if err := json.Unmarshal(l.blob(t, d), &m); err != nil {
		t.Fatalf("manifest %s: %v", d, err)
	}
	return m
}

// isImage tells an image's manifest from attestations, signatures and SOCI's
// indexes.
func (m anyManifest) isImage() bool {
	config := m.Config.MediaType
	return m.ArtifactType == "" && (config == ocispec.MediaTypeImageConfig || config == "application/vnd.docker.container.image.v1+json")
}

// image is the image's manifest that a descriptor leads to: of an index the
// first for linux/amd64.
func (l layoutFixture) image(t testing.TB, d ocispec.Descriptor) (digest.Digest, anyManifest, bool) {
	t.Helper()
	if p := d.Platform; p != nil && (p.OS != "linux" || p.Architecture != "amd64") {
		return "", anyManifest{}, false
	}
	m := l.manifest(t, d.Digest)
	for _, child := range m.Manifests {
		if d, m, ok := l.image(t, child); ok {
			return d, m, true
		}
	}
	return d.Digest, m, m.isImage()
}

// ztocs are the zTOCs of an image's layers, where a SOCI index of it is in the
// layout: by its annotation, or as its referrer.
func (l layoutFixture) ztocs(t testing.TB, image digest.Digest, m anyManifest, root []ocispec.Descriptor) map[digest.Digest]ocispec.Descriptor {
	t.Helper()
	if d := m.Annotations[SOCIIndexDigest]; d != "" {
		return ZTOCs(l.manifest(t, digest.Digest(d)).Layers)
	}
	for _, d := range root {
		if d.ArtifactType != MediaTypeSOCIIndexV1 {
			continue
		}
		if index := l.manifest(t, d.Digest); index.Subject != nil && index.Subject.Digest == image {
			return ZTOCs(index.Layers)
		}
	}
	return nil
}

// imageSources are the layers of a fixture's image, :latest where the name has
// no tag ("docker-schema2:tiny"): of an index that for linux/amd64. Each has a
// memoryBlob, its diff ID, and its zTOC if the fixture has one; all share a
// memoryStore.
func imageSources(t testing.TB, name string) []*Source {
	t.Helper()
	name, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	l := layoutFixture(fixture(t, name))
	var root ocispec.Index
	if err := json.Unmarshal(l["index.json"], &root); err != nil {
		t.Fatalf("index.json of %s: %v", name, err)
	}
	for _, d := range root.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] != tag {
			continue
		}
		if image, m, ok := l.image(t, d); ok {
			return l.sources(t, m, l.ztocs(t, image, m, root.Manifests))
		}
	}
	t.Fatalf("no image %s:%s", name, tag)
	return nil
}

func (l layoutFixture) sources(t testing.TB, m anyManifest, ztocs map[digest.Digest]ocispec.Descriptor) []*Source {
	t.Helper()
	var config ocispec.Image
	if err := json.Unmarshal(l.blob(t, m.Config.Digest), &config); err != nil {
		t.Fatalf("config %s: %v", m.Config.Digest, err)
	}
	store := newMemoryStore()
	var sources []*Source
	for i, layer := range m.Layers {
		s := &Source{
			Blob: &memoryBlob{data: l.blob(t, layer.Digest)}, Digest: layer.Digest, Size: layer.Size,
			MediaType: layer.MediaType, Annotations: layer.Annotations,
			Store: store, Log: slog.New(slog.DiscardHandler),
		}
		if i < len(config.RootFS.DiffIDs) {
			s.DiffID = config.RootFS.DiffIDs[i]
		}
		if ztoc, ok := ztocs[layer.Digest]; ok {
			s.ZTOC = l.blob(t, ztoc.Digest)
		}
		sources = append(sources, s)
	}
	return sources
}

// memorySource is a layer of those bytes.
func memorySource(data []byte, annotations map[string]string) *Source {
	return &Source{
		Blob: &memoryBlob{data: data}, Digest: digest.FromBytes(data), Size: int64(len(data)),
		Annotations: annotations, Store: newMemoryStore(), Log: slog.New(slog.DiscardHandler),
	}
}

// A memoryBlob is a Blob that remembers what it was asked for.
type memoryBlob struct {
	data []byte
	err  error // of every ReadAt, where it isn't nil

	mu    sync.Mutex
	reads []blobRange // guarded by mu
}

// A blobRange is the bytes that one ReadAt returned.
type blobRange struct{ off, length int64 }

// ReadAt implements Blob.
func (b *memoryBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := errors.Join(ctx.Err(), b.err); err != nil {
		return 0, err
	}
	n, err := bytes.NewReader(b.data).ReadAt(p, off)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads = append(b.reads, blobRange{off, int64(n)})
	return n, err
}

// read are the ranges that were asked for since the last call.
func (b *memoryBlob) read() []blobRange {
	b.mu.Lock()
	defer b.mu.Unlock()
	reads := b.reads
	b.reads = nil
	return reads
}

// Close implements io.Closer.
func (b *memoryBlob) Close() error { return nil }

// A memoryStore is a Store that forgets nothing, and counts.
type memoryStore struct {
	mu      sync.Mutex // guards what is below, and is held while a fill runs
	kept    map[string][]byte
	indexes map[string][]byte
	derived map[digest.Digest][]byte
	asked   storeCounts
}

// storeCounts are how often a store was asked: for a key and for one that it
// didn't have, and so on.
type storeCounts struct {
	keeps, fills      int
	indexes, puts     int
	derives, unpacked int
}

func newMemoryStore() *memoryStore {
	return &memoryStore{kept: map[string][]byte{}, indexes: map[string][]byte{}, derived: map[digest.Digest][]byte{}}
}

// counts are what the store was asked since it was made.
func (m *memoryStore) counts() storeCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// Keep implements Store.
func (m *memoryStore) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.keeps++
	if data, ok := m.kept[key]; ok || ctx.Err() != nil {
		return data, ctx.Err()
	}
	m.asked.fills++
	data, err := fill(ctx)
	if err == nil {
		m.kept[key] = data
	}
	return data, err
}

// Kept implements Store.
func (m *memoryStore) Kept(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.kept[key]
	return data, ok
}

// Index implements Store.
func (m *memoryStore) Index(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.indexes++
	index, ok := m.indexes[key]
	return index, ok
}

// PutIndex implements Store.
func (m *memoryStore) PutIndex(key string, index []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.puts++
	m.indexes[key] = bytes.Clone(index)
	return true
}

// Derive implements Store. It unpacks at once.
func (m *memoryStore) Derive(d digest.Digest, size int64, unpack func(context.Context) (io.ReadCloser, error)) (DerivedBlob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.derives++
	if data, ok := m.derived[d]; ok {
		return derivedBlob{&memoryBlob{data: data}}, nil
	}
	m.asked.unpacked++
	r, err := unpack(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != size || digest.FromBytes(data) != d {
		return nil, ErrDigest
	}
	m.derived[d] = data
	return derivedBlob{&memoryBlob{data: data}}, nil
}

// A sparseBlob is zeros up to its tail.
type sparseBlob struct {
	size int64
	tail []byte
}

// ReadAt implements Blob.
func (b *sparseBlob) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	clear(p)
	if start := b.size - int64(len(b.tail)) - off; start < 0 {
		copy(p, b.tail[-start:])
	} else if start < int64(len(p)) {
		copy(p[start:], b.tail)
	}
	return len(p), nil
}

// A derivedBlob is one that a memoryStore has unpacked: it is right.
type derivedBlob struct{ *memoryBlob }

func (derivedBlob) Verified() bool     { return true }
func (derivedBlob) Generation() uint64 { return 0 }
