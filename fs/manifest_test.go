package fs

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// names are those that an open directory lists.
func names(t *testing.T, n fusefs.NodeOpendirHandler) map[string]fuse.DirEntry {
	t.Helper()
	handle, _, errno := n.OpendirHandle(t.Context(), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer handle.(fusefs.FileReleasedirer).Releasedir(t.Context(), 0)
	list := map[string]fuse.DirEntry{}
	for {
		e, errno := handle.(fusefs.FileReaddirenter).Readdirent(t.Context())
		if errno != 0 {
			t.Fatal(errno)
		}
		if e == nil {
			delete(list, ".")
			delete(list, "..")
			return list
		}
		list[e.Name] = *e
	}
}

// TestManifestNames lists the directories of manifests of all kinds, and looks up
// every name that such a directory can have: those that are listed are there, as
// what the listing says, and no others.
func TestManifestNames(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	tr.platform = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	s := &source{}
	manifest := func(config, more string) digest.Digest {
		return s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2,"data":"e30="},"layers":[]%s}`,
			ocispec.MediaTypeImageManifest, config, digest.FromString("{}"), more))
	}
	index := func(d digest.Digest, mediaType, platform string) digest.Digest {
		entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":5,"platform":{"os":"linux","architecture":%q}}`, mediaType, d, platform)
		return s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, entry))
	}
	image := manifest(ocispec.MediaTypeImageConfig, "")
	odd := manifest("application/vnd.example.config", "")
	images := index(image, ocispec.MediaTypeImageManifest, "amd64")
	r := newRepository(tr, s, "host/app", "host")
	always := []string{"layout", "layout.tar", "manifest.json", "referrers"}
	for name, test := range map[string]struct {
		digest digest.Digest
		want   []string
	}{
		"an image":            {image, []string{"config.json", "files", "layers", "rootfs"}},
		"a config of no JSON": {odd, []string{"config", "files", "layers"}},
		"a subject": {manifest("application/json", fmt.Sprintf(`,"subject":{"mediaType":"x","digest":%q,"size":5}`, image)),
			[]string{"config.json", "files", "layers", "subject"}},
		"no config":                           {s.addDocument(`{"schemaVersion":2,"layers":[]}`), []string{"files", "layers"}},
		"an index":                            {images, []string{"config.json", "files", "layers", "rootfs", "platforms"}},
		"an index, no JSON":                   {index(odd, ocispec.MediaTypeImageManifest, "amd64"), []string{"config", "files", "layers", "platforms"}},
		"an index of indexes":                 {index(images, ocispec.MediaTypeImageIndex, "amd64"), []string{"config.json", "files", "layers", "rootfs", "platforms"}},
		"an index for another host":           {index(image, ocispec.MediaTypeImageManifest, "riscv64"), []string{"platforms"}},
		"what is no known manifest":           {s.addDocument(`{"schemaVersion":1,"fsLayers":[]}`), []string{"files", "layers"}},
		"an index of a manifest that is gone": {index(digest.FromString("gone"), ocispec.MediaTypeImageManifest, "amd64"), []string{"platforms"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := &manifestNode{manifestPart{node: node{tree: tr}, repo: r, digest: test.digest}}
			options := tr.kernelOptions(&Options{})
			fusefs.NewNodeFS(n, options) // it is a root, and can have children
			listed := names(t, n)
			want := slices.Concat(test.want, always)
			slices.Sort(want)
			got := []string{}
			for name := range listed {
				got = append(got, name)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("it lists %q, not %q", got, want)
			}
			var all []string
			for _, row := range manifestNames {
				all = append(all, row.name)
			}
			thereAsListed(t, n, listed, all)
		})
	}
}

// thereAsListed looks up names in a directory: those that it lists are there, as
// what the listing says, and no others.
func thereAsListed(t *testing.T, n fusefs.NodeLookuper, listed map[string]fuse.DirEntry, all []string) {
	t.Helper()
	for _, name := range all {
		var out fuse.EntryOut
		inode, errno := n.Lookup(t.Context(), name, &out)
		e, ok := listed[name]
		switch {
		case ok != (errno == 0):
			t.Errorf("%s is listed: %t, and its lookup says %v", name, ok, errno)
		case ok && (inode.StableAttr().Ino != e.Ino || inode.StableAttr().Mode != e.Mode || out.Mode&syscall.S_IFMT != e.Mode&syscall.S_IFMT):
			t.Errorf("%s is listed as %v, and is %v of the mode %o", name, e, inode.StableAttr(), out.Mode)
		}
	}
}
