package fs

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
)

// TestOddLayer has an image one of whose layers is no descriptor. The others are
// there under their own numbers, the log says which one isn't and why, and what the
// layers would make together is an error that says it too.
func TestOddLayer(t *testing.T) {
	tr, log := loggedCachedTree(t)
	s := &source{content: "{}"}
	layer := func(d any, size int) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":"%v","size":%d}`, ocispec.MediaTypeImageLayer, d, size)
	}
	first, last := digest.FromString("first"), digest.FromString("last")
	d := s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2,"data":"e30="},"layers":[%s,%s,%s]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, digest.FromString("{}"), layer(first, 5), layer(last, -1), layer(last, 4)))
	r := newRepository(tr, s, "host/app", "host")
	n := &layersNode{manifestPart{node: node{tree: tr}, repo: r, digest: d}}
	fusefs.NewNodeFS(n, tr.kernelOptions(&Options{}))
	listed := slices.Sorted(maps.Keys(names(t, n)))
	want := []string{"00", "00-" + first.Encoded()[:12] + ".tar", "02", "02-" + last.Encoded()[:12] + ".tar"}
	if !slices.Equal(listed, want) {
		t.Errorf("layers/ lists %q, want %q", listed, want)
	}
	for _, name := range []string{"01", "01-", "01-" + last.Encoded()[:12] + ".tar"} {
		if _, errno := n.Lookup(t.Context(), name, &fuse.EntryOut{}); errno == 0 {
			t.Errorf("%s is there", name)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "host/app@"+d.String()) ||
		!strings.Contains(log.String(), "layer 1: its size is -1") {
		t.Errorf("the log has %q", log.String())
	}
	_, err := imageLayers{r, d, artifact.AllLayers}.Sources(t.Context())
	if err == nil || !strings.Contains(err.Error(), "layer 1: its size is -1") {
		t.Errorf("the layers together: %v", err)
	}
	if sources, err := (imageLayers{r, d, 2}).Sources(t.Context()); err != nil || sources[0].Digest != last {
		t.Errorf("the last one by itself: %v", err)
	}
	if !slices.Contains(slices.Collect(maps.Keys(names(t, manifestNodeOn(t, r, d)))), "rootfs") {
		t.Error("there is no rootfs to say what is wrong")
	}
}

// TestDocumentAlone has documents that can't be parsed. manifest.json is there, and
// the log says why nothing else is.
func TestDocumentAlone(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":                "<html>",
		"fields of two kinds":    fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"layers":[],"manifests":[]}`, ocispec.MediaTypeImageManifest),
		"too many descriptors":   fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s{}]}`, ocispec.MediaTypeImageIndex, strings.Repeat("{},", 10_000)),
		"layers that are a text": fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"layers":"x"}`, ocispec.MediaTypeImageManifest),
	} {
		tr, log := loggedCachedTree(t)
		s := &source{}
		d := s.addDocument(content)
		r := newRepository(tr, s, "host/app", "host")
		listed := names(t, manifestNodeOn(t, r, d))
		if _, ok := listed["manifest.json"]; !ok || listed["config.json"].Ino != 0 {
			t.Errorf("%s: the directory lists %v", name, listed)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "host/app@"+d.String()) {
			t.Errorf("%s: the log has %q", name, log.String())
		}
	}
}

// TestContradictedDocument has a registry that calls a manifest an index, whose bytes
// came from another repository before.
func TestContradictedDocument(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	right, wrong := &source{}, &source{mediaType: ocispec.MediaTypeImageIndex}
	d := right.add("")
	wrong.manifests = right.manifests
	if _, err := newRepository(tr, right, "host/right", "host").artifact(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	r := newRepository(tr, wrong, "host/wrong", "host")
	for range 2 {
		if _, err := r.artifact(t.Context(), d); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("what came as an index: %v", err)
		}
	}
	if got := wrong.questions(); !slices.Equal(got, []string{"resolve", "resolve"}) {
		t.Errorf("the registry is asked %q", got)
	}
	// A tag that leads there makes no difference.
	wrong.tags = map[string]digest.Digest{"v1": d}
	byTag := newRepository(tr, wrong, "host/wrongtag", "host")
	if _, err := byTag.resolve(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := byTag.artifact(t.Context(), d); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("what came as an index, by a tag: %v", err)
		}
	}
	if got := wrong.questions(); !slices.Equal(got, []string{"resolve v1", "manifest", "manifest"}) {
		t.Errorf("the registry is asked %q", got)
	}
	wrong.mediaType = "text/html"
	if a, err := r.artifact(t.Context(), d); err != nil || a.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("what came as a page: %v", err)
	}
}

// loggedCachedTree is a tree with a cache, and its log.
func loggedCachedTree(t *testing.T) (*tree, *bytes.Buffer) {
	t.Helper()
	tr, _ := treeOn(t, t.TempDir())
	var log bytes.Buffer
	tr.log = slog.New(slog.NewTextHandler(&log, nil))
	return tr, &log
}

// manifestNodeOn is a manifest's directory, as a root, so that it can have children.
func manifestNodeOn(t *testing.T, r *repository, d digest.Digest) *manifestNode {
	t.Helper()
	n := &manifestNode{manifestPart{node: node{tree: r.tree}, repo: r, digest: d}}
	fusefs.NewNodeFS(n, r.tree.kernelOptions(&Options{}))
	return n
}
