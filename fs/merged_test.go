package fs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// emptyFiles is a tar of files.
func emptyFiles(t *testing.T, files ...string) string {
	t.Helper()
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, name := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return content.String()
}

// mergedDirectory is the directory a in files/ of an artifact whose layers have
// those titles and are all the same tar. Those of a itself are unpacked there.
func mergedDirectory(t *testing.T, content string, titles ...string) *mergedNode {
	t.Helper()
	var layers []string
	for _, title := range titles {
		layers = append(layers, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"annotations":{%q:%q,"io.deis.oras.content.unpack":"%t"}}`,
			ocispec.MediaTypeImageLayer, digest.FromString(content), len(content), ocispec.AnnotationTitle, title, path.Clean(title) == "a"))
	}
	s := &source{content: content}
	d := s.add(`,"layers":[` + strings.Join(layers, ",") + `]`)
	tr, _ := treeOn(t, t.TempDir())
	r := newRepository(tr, s, "host/app", "host")
	n := &mergedNode{filesNode{manifestPart{node: node{tree: tr}, repo: r, digest: d}, []string{"a"}}}
	fusefs.NewNodeFS(n, tr.kernelOptions(&Options{})) // it is a root, and can have children
	return n
}

// TestMergedNames lists a directory that two archives are unpacked into, between
// and among files that have titles: what the listing says is what a lookup finds.
func TestMergedNames(t *testing.T) {
	content := emptyFiles(t, "a/archived", "a/before", "a/between", "a/after", "a/folder", "a/file/x", "a/merged/x")
	n := mergedDirectory(t, content, "a/file", "a/before", "a", "a/between", "./a", "a/after", "a/folder/x")
	listed := names(t, n)
	want := []string{"after", "archived", "before", "between", "file", "folder", "merged"}
	if got := slices.Sorted(maps.Keys(listed)); !slices.Equal(got, want) {
		t.Errorf("it lists %q, not %q", got, want)
	}
	thereAsListed(t, n, listed, append(want, "x", "a"))
	// Of two files the later layer's is there.
	for name, titled := range map[string]struct {
		layer int
		wins  bool
	}{"file": {0, true}, "before": {1, false}, "between": {3, false}, "after": {5, true}} {
		if got := listed[name].Ino == layerIdentity(n.repo, n.digest, titled.layer).Ino; got != titled.wins {
			t.Errorf("%s is the layer of that title: %t", name, got)
		}
	}
}

// TestMergedTooOften unpacks more archives into a directory than may be: what the
// manifest names is there all the same.
func TestMergedTooOften(t *testing.T) {
	titles := []string{"a/first"}
	for i := range maxMerged + 1 {
		titles = append(titles, strings.Repeat("./", i)+"a")
	}
	n := mergedDirectory(t, emptyFiles(t, "a/archived"), append(titles, "a/last")...)
	if _, _, errno := n.OpendirHandle(t.Context(), 0); errno != syscall.EIO {
		t.Errorf("the directory is listed: %v", errno)
	}
	for name, want := range map[string]syscall.Errno{"last": 0, "first": syscall.EIO, "archived": syscall.EIO} {
		if _, errno := n.Lookup(t.Context(), name, &fuse.EntryOut{}); errno != want {
			t.Errorf("%s: %v, not %v", name, errno, want)
		}
	}
}
