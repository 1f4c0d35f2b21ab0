package fs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestKernelAgrees holds what is agreed on with a kernel that can do everything.
func TestKernelAgrees(t *testing.T) {
	tr, _ := treeOn(t, "")
	o := &Options{TagTTL: time.Minute}
	options := tr.kernelOptions(o)
	k := newKernel(t, &namespaceNode{directoryNode: tr.directoryNode()}, options)
	flags := uint64(k.agreed.Flags) | uint64(k.agreed.Flags2)<<32
	for name, want := range map[string]struct {
		flag uint64
		on   bool
	}{
		"pages go when we say so":         {fuse.CAP_EXPLICIT_INVAL_DATA, true},
		"pages go with a file's time":     {fuse.CAP_AUTO_INVAL_DATA, false},
		"the mount counts as stacked":     {fuse.CAP_PASSTHROUGH, false},
		"several reads go on at a time":   {fuse.CAP_ASYNC_READ, true},
		"directories are read with nodes": {fuse.CAP_READDIRPLUS, true},
	} {
		if got := flags&want.flag != 0; got != want.on {
			t.Errorf("%s: %t", name, got)
		}
	}
	if k.agreed.MaxWrite != requestSize || k.agreed.MaxBackground != 64 {
		t.Errorf("requests have %d bytes, and %d are read ahead", k.agreed.MaxWrite, k.agreed.MaxBackground)
	}
	// The memory of requests that wait is bounded, and has room for those of all
	// that read at a time.
	if most := options.MaxInflightRequestBytes; most < 32*requestSize || most > 64<<20 {
		t.Errorf("requests may take %d bytes", most)
	}
}

// TestNamesThatAreMissing has the kernel remember for some seconds that a name isn't
// there, and not for longer than a tag's time to live.
func TestNamesThatAreMissing(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{time.Minute: 5 * time.Second, 2 * time.Second: 2 * time.Second} {
		tr, _ := treeOn(t, "")
		r := newRepository(tr, &source{}, "host/app", "host")
		k := newKernel(t, &tagsNode{directoryNode: tr.directoryNode(), repo: r}, tr.kernelOptions(&Options{TagTTL: ttl}))
		for _, name := range []string{"none", "-", "no tag"} {
			out := k.lookup(fuse.FUSE_ROOT_ID, name)
			if out.NodeId != 0 || out.EntryTimeout() != want {
				t.Errorf("%q is node %d for %s, not missing for %s", name, out.NodeId, out.EntryTimeout(), want)
			}
		}
	}
}

// TestListsThatAreKept has the kernel keep the list of a directory that never
// changes, and ask for the others each time.
func TestListsThatAreKept(t *testing.T) {
	var layer bytes.Buffer
	if w := tar.NewWriter(&layer); errors.Join(w.WriteHeader(&tar.Header{Name: "dir/file", Mode: 0o644}), w.Close()) != nil {
		t.Fatal("no tar")
	}
	s := &source{content: layer.String()}
	image := s.add(fmt.Sprintf(`,"layers":[{"mediaType":"application/x-tar","digest":%q,"size":%d,"annotations":{%q:"a/b"}}]`,
		digest.FromBytes(layer.Bytes()), layer.Len(), ocispec.AnnotationTitle))
	index := s.addIndex(image)
	broken := s.addIndex(digest.FromString("nowhere"))
	const kept = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	for name, want := range map[string]map[digest.Digest]uint32{
		"":              {image: kept, index: kept},
		"files":         {image: kept},
		"files/a":       {image: kept},
		"layers":        {image: kept},
		"layers/00":     {image: kept},
		"layers/00/dir": {image: kept},
		"platforms":     {index: kept},
		"layout":        {image: kept, index: kept, broken: 0},
		"referrers":     {image: 0, index: 0},
	} {
		for manifest, want := range want {
			t.Run(fmt.Sprint(name, " ", manifest[:12]), func(t *testing.T) {
				tr, _ := treeOn(t, "")
				r := newRepository(tr, s, "host/app", "host")
				k := newKernel(t, &manifestNode{manifestPart{node: node{tree: tr}, repo: r, digest: manifest}}, tr.kernelOptions(&Options{}))
				node := uint64(fuse.FUSE_ROOT_ID)
				for _, element := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' }) {
					node = k.lookup(node, element).NodeId
				}
				if got := k.opendir(node); got != want {
					t.Errorf("it is opened with %#x, not %#x", got, want)
				}
			})
		}
	}
}
