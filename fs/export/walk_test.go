package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/resolver"
)

// A shelf has manifests, and remembers which it was asked for.
type shelf struct {
	manifests map[digest.Digest]*resolver.Manifest
	err       error // of every manifest

	mu    sync.Mutex // guards asked
	asked []digest.Digest
}

// Manifest implements Manifests.
func (s *shelf) Manifest(_ context.Context, desc ocispec.Descriptor) (*resolver.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, desc.Digest)
	return s.manifests[desc.Digest], s.err
}

// add puts a manifest on the shelf, with the digest of its name.
func (s *shelf) add(name string, m resolver.Manifest) *resolver.Manifest {
	m.Digest, m.Size, m.Content = digest.FromString(name), int64(len(name)), []byte(name)
	if m.MediaType == "" {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	if s.manifests == nil {
		s.manifests = map[digest.Digest]*resolver.Manifest{}
	}
	s.manifests[m.Digest] = &m
	return &m
}

func blob(name string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/vnd.example", Digest: digest.FromString(name), Size: int64(len(name))}
}

// closure is that of an artifact on the shelf, an image if it has a config.
func (s *shelf) closure(t *testing.T, artifact *resolver.Manifest) (*Closure, error) {
	t.Helper()
	return NewClosure(t.Context(), Options{
		Artifact: artifact, Manifests: s,
		IsImage: func(m *resolver.Manifest) bool { return m.Config != nil },
		ForHost: func(list []ocispec.Descriptor) int { return len(list) - 1 },
	})
}

// names are the files' names.
func (c *Closure) names() (names []string) {
	for _, f := range c.Files {
		names = append(names, f.Name)
	}
	return names
}

// TestClosure has an index of two images that share a layer, one of which refers to
// an artifact; of a third manifest the registry knows nothing.
func TestClosure(t *testing.T) {
	s, config := &shelf{}, blob("config")
	subject := s.add("subject", resolver.Manifest{Layers: []ocispec.Descriptor{blob("shared")}})
	of := resolver.Subject(subject)
	first := s.add("first", resolver.Manifest{Layers: []ocispec.Descriptor{blob("shared"), blob("own")}, Subject: &of})
	second := s.add("second", resolver.Manifest{Config: &config, Layers: []ocispec.Descriptor{blob("shared")}})
	gone := blob("gone")
	gone.MediaType = ocispec.MediaTypeImageManifest
	index := s.add("index", resolver.Manifest{
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{resolver.Subject(first), gone, resolver.Subject(second)},
	})
	c, err := s.closure(t, index)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, m := range c.Members {
		if found, ok := c.Find(m.Digest); !ok || found.Size != m.Size {
			t.Errorf("member %d isn't found by its digest", i)
		}
		got = append(got, fmt.Sprint(m.Digest, m.Manifest))
	}
	var want []string
	for _, name := range []string{"index", "first", "second", "subject"} {
		want = append(want, fmt.Sprint(digest.FromString(name), true))
	}
	for _, name := range []string{"shared", "own", "config"} {
		want = append(want, fmt.Sprint(digest.FromString(name), false))
	}
	if !slices.Equal(got, want) || !c.Incomplete {
		t.Errorf("the members are\n%q, want\n%q; incomplete: %v", got, want, c.Incomplete)
	}
	if _, ok := c.Find(gone.Digest); ok {
		t.Error("a manifest that isn't there is a member")
	}
	if got, want := c.names(), []string{"oci-layout", "index.json", "manifest.json"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	if len(s.asked) != 4 { // what is there, and the one that isn't
		t.Errorf("%d manifests are asked for", len(s.asked))
	}
	if first.Content == nil {
		t.Error("a manifest that somebody else has lost its content")
	}
}

// TestClosureOfWhatHasNoMediaType has an index that says of a manifest and of a blob
// nothing but their digests.
func TestClosureOfWhatHasNoMediaType(t *testing.T) {
	s := &shelf{}
	child := resolver.Subject(s.add("child", resolver.Manifest{Layers: []ocispec.Descriptor{blob("layer")}}))
	content := blob("content")
	child.MediaType, content.MediaType = "", ""
	index := s.add("index", resolver.Manifest{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{content, child}})
	c, err := s.closure(t, index)
	if err != nil || c.Incomplete {
		t.Fatalf("incomplete: %v, %v", c != nil && c.Incomplete, err)
	}
	for name, manifest := range map[string]bool{"index": true, "child": true, "layer": false, "content": false} {
		if m, ok := c.Find(digest.FromString(name)); !ok || m.Manifest != manifest {
			t.Errorf("%s is a member: %v, a manifest: %v", name, ok, m.Manifest)
		}
	}
}

// TestClosureOfNoImage has no file for Docker.
func TestClosureOfNoImage(t *testing.T) {
	s := &shelf{}
	c, err := s.closure(t, s.add("artifact", resolver.Manifest{Layers: []ocispec.Descriptor{blob("file")}}))
	if err != nil || c.Incomplete {
		t.Fatalf("incomplete: %v, %v", c.Incomplete, err)
	}
	if got, want := c.names(), []string{"oci-layout", "index.json"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	if len(s.asked) != 0 {
		t.Errorf("%d manifests are asked for", len(s.asked))
	}
}

// TestClosureFails has a registry that doesn't answer.
func TestClosureFails(t *testing.T) {
	down := errors.New("down")
	s := &shelf{err: down}
	listed := s.add("listed", resolver.Manifest{})
	index := s.add("index", resolver.Manifest{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{resolver.Subject(listed)}})
	if _, err := s.closure(t, index); !errors.Is(err, down) {
		t.Errorf("the closure is made with %v", err)
	}
}

// TestClosureOfForeignLayer has an image with a layer that isn't distributed: it is no
// member, and Docker, which would look for it, isn't told of the image.
func TestClosureOfForeignLayer(t *testing.T) {
	s, config, foreign := &shelf{}, blob("config"), blob("foreign")
	foreign.MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	c, err := s.closure(t, s.add("image", resolver.Manifest{Config: &config, Layers: []ocispec.Descriptor{blob("layer"), foreign}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Find(foreign.Digest); ok || len(c.Members) != 3 {
		t.Errorf("the members are %v", c.Members)
	}
	if got, want := c.names(), []string{"oci-layout", "index.json"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
}

// TestClosureBesideAHole has an image that lists what is no layer: the others are
// members, and Docker, which would want all, isn't told of the image.
func TestClosureBesideAHole(t *testing.T) {
	s, config := &shelf{}, blob("config")
	c, err := s.closure(t, s.add("image", resolver.Manifest{Config: &config, Layers: []ocispec.Descriptor{{}, blob("layer")}}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.names(), []string{"oci-layout", "index.json"}; len(c.Members) != 3 || !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q, and the members %v", got, want, c.Members)
	}
}

// TestBounds has closures as large as they may be, and by one too large.
func TestBounds(t *testing.T) {
	s := &shelf{}
	// An index and the two manifests that it lists are members, too.
	layers := make([]ocispec.Descriptor, 20_000-3)
	for i := range layers {
		layers[i] = blob(fmt.Sprint("layer ", i))
	}
	index := func(name string, list ...ocispec.Descriptor) *resolver.Manifest {
		return s.add(name, resolver.Manifest{MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
	}
	half := resolver.Subject(s.add("half", resolver.Manifest{Layers: layers[:len(layers)/2]}))
	rest := resolver.Subject(s.add("rest", resolver.Manifest{Layers: layers[len(layers)/2:]}))
	more := resolver.Subject(s.add("more", resolver.Manifest{Layers: append([]ocispec.Descriptor{blob("one more")}, layers[len(layers)/2:]...)}))

	many := make([]ocispec.Descriptor, 1_024)
	for i := range many {
		many[i] = resolver.Subject(s.add(fmt.Sprint("manifest ", i), resolver.Manifest{}))
	}
	large := make([]ocispec.Descriptor, 17)
	for i := range large {
		m := s.add(fmt.Sprint("large ", i), resolver.Manifest{})
		m.Size = 4 << 20
		large[i] = resolver.Subject(m)
	}
	all := index("all", large[:16]...)
	all.Size = 0
	for _, c := range []struct {
		what  string
		index *resolver.Manifest
		fits  bool
	}{
		{"20,000 members", index("members", half, rest), true},
		{"20,001 members", index("too many members", half, more), false},
		{"1,024 manifests", index("manifests", many[1:]...), true},
		{"1,025 manifests", index("too many manifests", many...), false},
		{"64 MiB of manifests", all, true},
		{"68 MiB of manifests", index("too much", large...), false},
	} {
		s.asked = nil
		_, err := s.closure(t, c.index)
		if c.fits && err != nil || !c.fits && !errors.Is(err, errdef.ErrSizeExceedsLimit) {
			t.Errorf("%s: %v", c.what, err)
		}
		if len(s.asked) > 1_024 {
			t.Errorf("%s: %d manifests are asked for", c.what, len(s.asked))
		}
	}
}
