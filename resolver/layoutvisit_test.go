package resolver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A visit is what a source shows below its tags.
type visit struct {
	source    Source
	manifests map[digest.Digest]string // media types
	blobs     map[digest.Digest]int64  // sizes
	referrers map[digest.Digest][]string
}

// visited resolves every tag of a source, reads and verifies each manifest that
// it leads to, and reads each blob in several ways. Manifests that an index
// lists may be missing, where missing says so.
func visited(t *testing.T, s Source, missing bool) *visit {
	t.Helper()
	v := &visit{s, make(map[digest.Digest]string), make(map[digest.Digest]int64), make(map[digest.Digest][]string)}
	for _, tag := range tagsOf(t, s) {
		desc, err := s.Resolve(t.Context(), tag)
		if err != nil {
			t.Errorf("%s: %v", tag, err)
			continue
		}
		v.manifest(t, desc, missing)
	}
	return v
}

func (v *visit) manifest(t *testing.T, desc ocispec.Descriptor, missing bool) {
	t.Helper()
	if _, ok := v.manifests[desc.Digest]; ok {
		return
	}
	content, err := v.source.Manifest(t.Context(), desc.Digest)
	mediaType := DocumentType(content)
	if missing && errors.Is(err, errdef.ErrNotFound) {
		return
	}
	if err != nil || mediaType != desc.MediaType || int64(len(content)) != desc.Size || digest.FromBytes(content) != desc.Digest {
		t.Errorf("%s: %s, %d bytes, %v; want %+v", desc.Digest, mediaType, len(content), err, desc)
		return
	}
	v.manifests[desc.Digest] = mediaType
	again, err := v.source.Resolve(t.Context(), desc.Digest.String())
	if err != nil || again.MediaType != desc.MediaType || again.Size != desc.Size || again.Digest != desc.Digest {
		t.Errorf("%s by digest: %+v, %v", desc.Digest, again, err)
	}
	m, err := ParseManifest(desc.Digest, content)
	if err != nil {
		t.Error(err)
		return
	}
	referrers, err := v.source.Referrers(t.Context(), Subject(m), "")
	if err != nil {
		t.Error(err)
	}
	for _, referrer := range referrers {
		v.referrers[desc.Digest] = append(v.referrers[desc.Digest], referrerLine(referrer))
		v.manifest(t, referrer, false)
	}
	slices.Sort(v.referrers[desc.Digest])
	for _, child := range m.Manifests {
		v.manifest(t, child, missing)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		blob.Data = nil
		v.blob(t, blob)
	}
}

// referrerLine is what is told of a referrer.
func referrerLine(desc ocispec.Descriptor) string {
	return fmt.Sprint(desc.ArtifactType, " ", desc.MediaType, " ", desc.Digest, " ", desc.Size, " ", desc.Annotations)
}

// blob reads a blob whole, and in ranges that don't fall on anything.
func (v *visit) blob(t *testing.T, desc ocispec.Descriptor) {
	t.Helper()
	v.blobs[desc.Digest] = desc.Size
	if size, err := v.source.BlobSize(t.Context(), desc.Digest); err != nil || size != desc.Size {
		t.Errorf("%s has %d bytes, %v; want %d", desc.Digest, size, err, desc.Size)
	}
	for _, step := range []int64{desc.Size, desc.Size/3 + 1, 65_537} {
		var whole strings.Builder
		for off := int64(0); off < desc.Size; off += step {
			n := min(step, desc.Size-off)
			part, at, err := fetch(v.source.Blob(desc), off, n)
			if err != nil || at != off || int64(len(part)) != n {
				t.Errorf("%s, %d+%d: %d bytes from %d, %v", desc.Digest, off, n, len(part), at, err)
				return
			}
			whole.WriteString(part)
		}
		if digest.FromString(whole.String()) != desc.Digest {
			t.Errorf("%s is something else, read by %d bytes", desc.Digest, step)
		}
	}
}

// A layout shows the same as a registry that serves it, whether it is a folder
// or a tar.
func TestLayoutIsLikeARegistry(t *testing.T) {
	for _, name := range []string{"artifact", "multi", "multi-oci-artifact", "docker-schema2", "signed", "helm-chart", "base-soci-v1", "base-soci-v2"} {
		t.Run(name, func(t *testing.T) {
			files := fixture(t, name)
			fake := fakeregistry.New()
			if err := fake.AddLayout("app", files); err != nil {
				t.Fatal(err)
			}
			want := visited(t, repo(t, fake, Options{}), false)
			if len(want.manifests) == 0 || len(want.blobs) == 0 {
				t.Fatalf("the registry shows %d manifests, %d blobs", len(want.manifests), len(want.blobs))
			}
			for _, path := range []string{unpack(t, files), packed(t, files)} {
				l := openLayout(t, path)
				got := visited(t, l, false)
				if tags, wanted := tagsOf(t, l), tagsOf(t, want.source); !slices.Equal(tags, wanted) {
					t.Errorf("%s: tags %q, want %q", path, tags, wanted)
				}
				if g, w := fmt.Sprint(got.manifests, got.blobs), fmt.Sprint(want.manifests, want.blobs); g != w {
					t.Errorf("%s: %s\nwant %s", path, g, w)
				}
				if g, w := fmt.Sprint(got.referrers), fmt.Sprint(want.referrers); g != w {
					t.Errorf("%s: referrers %s\nwant %s", path, g, w)
				}
			}
		})
	}
}

// What docker save, BuildKit, containerd and skopeo write as one tar.
func TestLayoutTars(t *testing.T) {
	const tiny = "sha256:06cb865047129b65251da335bf20bddf11b3fc74cb7d1e2243ef98df2141bef3"
	for _, test := range []struct {
		name, tag string
		digest    digest.Digest
		mediaType string
		manifests int
		blobs     int
	}{
		{"buildkit-docker", "latest", tiny, mediaTypeDockerManifest, 1, 3},
		{"ctr-export", "latest", tiny, mediaTypeDockerManifest, 1, 3},
		{"buildkit-oci", "latest", "sha256:e3805db8cb6a39e724487f1f3a43d68b5a48250cf5c0d431d879ceb29badadf7", typeIndex, 7, 15},
		{"skopeo-oci-archive", "tiny", "sha256:f3ef144e3e46706fd2c4acf8b0776ff3d00ab8f5087239481afdfabc6b5dbf9c", typeManifest, 1, 3},
		{"skopeo-docker-archive", "latest", "sha256:291d9011fcea9c9a8a0e5aecd6e8c667eae04f89d5e093f7bf09d8d0f6610cde", mediaTypeDockerManifest, 1, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := openLayout(t, saved(t, test.name))
			if tags := tagsOf(t, l); !slices.Equal(tags, []string{test.tag}) {
				t.Errorf("tags %q", tags)
			}
			desc, err := l.Resolve(t.Context(), test.tag)
			if err != nil || desc.Digest != test.digest || desc.MediaType != test.mediaType {
				t.Errorf("%s: %+v, %v", test.tag, desc, err)
			}
			v := visited(t, l, false)
			if len(v.manifests) != test.manifests || len(v.blobs) != test.blobs {
				t.Errorf("%d manifests, %d blobs", len(v.manifests), len(v.blobs))
			}
		})
	}
}
