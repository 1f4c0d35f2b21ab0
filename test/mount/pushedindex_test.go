package mount

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// platformLinks are the names that platforms/ of an index must have, and where
// they lead.
func platformLinks(index ocispec.Index) map[string]string {
	byName := map[string][]string{}
	for _, m := range index.Manifests {
		name := m.Platform.OS + "-" + m.Platform.Architecture
		if m.Platform.Variant != "" {
			name += "-" + m.Platform.Variant
		}
		byName[name] = append(byName[name], m.Digest.Encoded())
	}
	links := map[string]string{}
	for name, digests := range byName {
		for _, hex := range digests {
			if len(digests) > 1 {
				links[name+"-"+hex[:12]] = "../../" + hex
			} else {
				links[name] = "../../" + hex
			}
		}
	}
	return links
}

// pushIndexes pushes app:multi, an index that BuildKit made, with skopeo, and
// app:v1, one that crane makes of the base image for amd64 and of the others'
// for arm64 with the attestations. It gives their platforms.
func (r *registry) pushIndexes(t testing.TB) map[string][]string {
	t.Helper()
	r.skopeoCopy(t, "oci:"+unpackLayout(t, "base-gzip")+":latest", "app:base")
	r.skopeoCopy(t, "oci:"+unpackLayout(t, "multi")+":latest", "app:multi")
	_, multi := r.index(t, "app:multi")
	args := []string{"index", "append", "-t", r.host + "/app:v1", "-m", r.host + "/app:base"}
	for _, m := range multi.Manifests {
		if slices.Contains([]string{"arm64", "unknown"}, m.Platform.Architecture) {
			args = append(args, "-m", r.host+"/app@"+m.Digest.String())
		}
	}
	craneIn(t, args...)
	return map[string][]string{
		"app:multi": {"linux/amd64", "linux/arm64", "linux/arm/v7"},
		"app:v1":    {"linux/amd64", "linux/arm64"},
	}
}

// TestPushedIndex looks at indexes that real tools pushed, as a host of each of
// their platforms: what the index has itself is what crane gets for it.
func TestPushedIndex(t *testing.T) {
	t.Parallel()
	needRoot(t) // files of others that nobody may read
	r := startDistribution(t)
	for reference, platforms := range r.pushIndexes(t) {
		content, index := r.index(t, reference)
		for _, platform := range platforms {
			t.Run(reference+", "+platform, func(t *testing.T) {
				m := mountRegistry(t, r.host, "--platform", platform)
				if got := m.cat(t, reference, "manifest.json"); got != content {
					t.Errorf("manifest.json is\n%s\nnot\n%s", got, content)
				}
				links := map[string]string{}
				for _, name := range m.ls(t, reference, "platforms") {
					links[name] = m.readlink(t, reference, "platforms", name)
				}
				if want := platformLinks(index); !maps.Equal(links, want) {
					t.Errorf("the platforms are %q, not %q", links, want)
				}
				for _, name := range []string{"config.json", "files", "layers", "rootfs"} {
					if got, want := m.readlink(t, reference, name), "platforms/"+strings.ReplaceAll(platform, "/", "-")+"/"+name; got != want {
						t.Errorf("%s leads to %s, not %s", name, got, want)
					}
				}
				want := craneIn(t, "config", "--platform", platform, r.host+"/"+reference)
				if got := m.cat(t, reference, "config.json"); got != want {
					t.Errorf("config.json is\n%s\nnot\n%s", got, want)
				}
				m.sameExport(t, r, reference, platform)
			})
		}
	}
}

// TestPushedAttestations looks at what an index has beside its platforms.
func TestPushedAttestations(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	references := r.pushIndexes(t)
	m := mountRegistry(t, r.host)
	for reference := range references {
		_, index := r.index(t, reference)
		attestations := 0
		for name, target := range platformLinks(index) {
			if !strings.HasPrefix(name, "unknown-unknown-") {
				continue
			}
			attestations++
			at := reference + "/platforms/" + name
			if got, want := m.cat(t, at, "config.json"), craneIn(t, "config", r.host+"/app@sha256:"+path.Base(target)); got != want {
				t.Errorf("config.json of %s is\n%s\nnot\n%s", name, got, want)
			}
			layers := m.ls(t, at, "layers")
			if statement := m.cat(t, at, "layers", layers[0]); len(layers) != 1 || !strings.Contains(statement, "https://slsa.dev/provenance/") {
				t.Errorf("%s of the attestation %s hold %s", layers, name, clip(statement))
			}
		}
		if attestations != 3 {
			t.Errorf("%s has %d attestations, not 3", reference, attestations)
		}
	}
}

// sameExport compares rootfs/ with what crane exports. The base image has its
// own specification: crane exports some of its whiteouts wrongly.
func (m *mount) sameExport(t testing.TB, r *registry, reference, platform string) {
	t.Helper()
	rootfs := m.path(reference, "rootfs")
	output(t, "ls", rootfs+"/") // its own attributes are the manifest's until somebody looks in
	if reference == "app:v1" && platform == "linux/amd64" {
		sameBase(t, rootfs+"/")
		return
	}
	exported := t.TempDir()
	archive := filepath.Join(exported, "exported.tar")
	craneIn(t, "export", "--platform", platform, r.host+"/"+reference, archive)
	unpacked := filepath.Join(exported, "rootfs")
	output(t, "sh", "-ec", `mkdir "$1" && tar -xpf "$0" -C "$1"`, archive, unpacked)
	sameListing(t, "rootfs/", listing(t, rootfs, listFormat...), listing(t, unpacked, listFormat...))
	output(t, "diff", "-r", "--no-dereference", unpacked, rootfs+"/")
}
