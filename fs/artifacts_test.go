package fs

import (
	"fmt"
	"strings"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// TestManyNames lists the directories of a manifest of as many layers as there can
// be and of an index of as many manifests, and looks up each of the names: the
// document is read and parsed once.
func TestManyNames(t *testing.T) {
	const many = 10_000 // see resolver.ParseManifest
	s := &source{}
	var layers, manifests []string
	for i := range many {
		d := digest.FromString(fmt.Sprint(i))
		layers = append(layers, fmt.Sprintf(`{"mediaType":"text/plain","digest":%q,"size":1,"annotations":{%q:"d/%d.txt"}}`, d, ocispec.AnnotationTitle, i))
		manifests = append(manifests, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, ocispec.MediaTypeImageManifest, d))
	}
	artifact := s.add(`,"layers":[` + strings.Join(layers, ",") + `]`)
	index := s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(manifests, ",")))
	tr, _ := treeOn(t, t.TempDir())
	r := newRepository(tr, s, "app", "")
	r.local = true // so that the source is asked each time that it is parsed
	part := func(d digest.Digest) manifestPart { return manifestPart{node: node{tree: tr}, repo: r, digest: d} }
	asked := 0
	for name, n := range map[string]interface {
		fusefs.InodeEmbedder
		fusefs.NodeLookuper
		fusefs.NodeOpendirHandler
	}{
		"files":     &filesNode{part(artifact), []string{"d"}},
		"layers":    &layersNode{part(artifact)},
		"platforms": &platformsNode{part(index)},
	} {
		fusefs.NewNodeFS(n, tr.kernelOptions(&Options{}))
		listed := names(t, n)
		if len(listed) != many {
			t.Errorf("%s lists %d names", name, len(listed))
		}
		for e := range listed {
			if _, errno := n.Lookup(t.Context(), e, &fuse.EntryOut{}); errno != 0 {
				t.Fatalf("%s: %s: %v", name, e, errno)
			}
			if asked += len(s.questions()); asked > 2 {
				t.Fatalf("%s: at %s the source is asked for the third time, and there are two documents", name, e)
			}
		}
	}
	if asked != 2 {
		t.Errorf("the source is asked %d times for two documents", asked)
	}
}

// TestArtifacts remembers artifacts: no more than some, and no more bytes of
// manifests than some, but always the last one.
func TestArtifacts(t *testing.T) {
	of := func(size int64) *repositoryArtifact {
		return &repositoryArtifact{Manifest: &resolver.Manifest{Size: size}}
	}
	a := newArtifacts()
	for i := range 2 * maxArtifacts {
		a.add(fmt.Sprint(i), of(10_000))
	}
	if n := a.byKey.Len(); n != maxArtifacts {
		t.Errorf("%d small ones are remembered", n)
	}
	const large = resolver.MaxManifest
	for i := range 10 {
		a.add(fmt.Sprint("large ", i%5), of(large))
		if _, ok := a.get(fmt.Sprint("large ", i%5)); !ok {
			t.Errorf("large one %d isn't remembered", i)
		}
	}
	if n := a.byKey.Len(); n != maxArtifactBytes/large || a.bytes != maxArtifactBytes {
		t.Errorf("%d large ones are remembered, of %d bytes", n, a.bytes)
	}
	a.add("huge", of(2*maxArtifactBytes))
	if _, ok := a.get("huge"); !ok || a.byKey.Len() != 1 {
		t.Errorf("beside a huge one %d are remembered", a.byKey.Len()-1)
	}
	a.add("huge", of(1))
	if a.bytes != 1 {
		t.Errorf("one of a byte has %d", a.bytes)
	}
}
