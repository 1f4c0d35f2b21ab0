package fs

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/images"
)

// Operations of the kernel (fuse.h).
const (
	opOpen = 14
	opRead = 15
)

// walk looks up one name after the other.
func (k *kernel) walk(path string) uint64 {
	node := uint64(fuse.FUSE_ROOT_ID)
	for name := range strings.SplitSeq(path, "/") {
		node = k.lookup(node, name).NodeId
	}
	return node
}

// read opens a file and reads its first n bytes.
func (k *kernel) read(node uint64, n uint32) (string, syscall.Errno) {
	var opened struct {
		Handle         uint64
		Flags, Padding uint32
	}
	if errno := k.ask(opOpen, node, struct{ Flags, Unused uint32 }{}, "", &opened); errno != 0 {
		return "", errno
	}
	content := make([]byte, n)
	errno := k.ask(opRead, node, struct {
		Handle, Offset  uint64
		Size, ReadFlags uint32
		LockOwner       uint64
		Flags, Padding  uint32
	}{Handle: opened.Handle, Size: n}, "", content)
	return string(content), errno
}

// readAgain is read of a path, looked up once more if the file isn't there any more, as
// the kernel does it.
func (k *kernel) readAgain(path string, n uint32) (string, syscall.Errno) {
	content, errno := k.read(k.walk(path), n)
	if errno == syscall.ESTALE {
		content, errno = k.read(k.walk(path), n)
	}
	return content, errno
}

// tarWith is a tar of files whose content is their name four times, and of one of 20 MiB.
func tarWith(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(name, content string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		put(name, strings.Repeat(name, 4))
	}
	put("pad", strings.Repeat("x", 20<<20))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// plainLayer is the manifest of a source with one plain tar of that content.
func plainLayer(s *source, content, name string) digest.Digest {
	return s.add(fmt.Sprintf(`,"layers":[{"mediaType":"application/x-tar","digest":%q,"size":%d}],"annotations":{"name":%q}`,
		digest.FromString(content), len(content), name))
}

// A plain tar turns out to be wrong, and the right one has its entries in another order:
// the inode of one doesn't show the other.
func TestEntryOfATarThatWasWrong(t *testing.T) {
	wrong, right := tarWith(t, "a", "b"), tarWith(t, "b", "a")
	tr, _ := treeOn(t, t.TempDir())
	s := &source{content: wrong}
	d := plainLayer(s, right, "")
	r := newRepository(tr, s, "host/app", "host")
	k := newKernel(t, &manifestNode{manifestPart{node: node{tree: tr}, repo: r, digest: d}}, tr.kernelOptions(&Options{}))
	k.walk("layers/00/a")
	m, err := r.artifact(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := r.open(m.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close() //nolint:errcheck // it was only read
	reader := blob.Reader()
	defer reader.Close() //nolint:errcheck // likewise
	for off, p := int64(0), make([]byte, 1<<20); ; off += int64(len(p)) {
		if _, err = reader.ReadAt(t.Context(), p, off); err != nil {
			break // it is found wrong at its end
		}
	}
	s.content = right
	_, _ = k.readAgain("layers/00/pad", 4) // whoever comes first may be told so
	for range 2 {
		for name, want := range map[string]string{"a": "aaaa", "b": "bbbb"} {
			if got, errno := k.readAgain("layers/00/"+name, 4); got != want || errno != 0 {
				t.Errorf("%s reads %q, %v", name, got, errno)
			}
		}
	}
}

// Two repositories have one layer, and one of them is gone: the file of the other, which
// is the same inode, is read.
func TestEntryOfTwoRepositories(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	content := tarWith(t, "file")
	root := &twoManifests{directoryNode: tr.directoryNode(), manifests: map[string]func() *manifestNode{}}
	gone := &source{content: content}
	for name, s := range map[string]*source{"gone": gone, "there": {content: content}} {
		d := plainLayer(s, content, name)
		r := newRepository(tr, s, "host/"+name, "host")
		root.manifests[name] = func() *manifestNode {
			return &manifestNode{manifestPart{node: node{tree: tr}, repo: r, digest: d}}
		}
	}
	k := newKernel(t, root, tr.kernelOptions(&Options{}))
	if a, b := k.walk("gone/layers/00/file"), k.walk("there/layers/00/file"); a != b {
		t.Fatal("they are two inodes")
	}
	tr.running.Wait() // what noted on disk what was met
	gone.manifests = nil
	tr.artifacts.byKey.Purge()
	c, err := cache.Open(cache.Options{}) // one in which nothing is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	tr.cache = c
	tr.images = images.New(images.Options{Memory: 1 << 30, Lend: c.Lend, Store: c, Log: tr.log, Context: tr.ctx, Run: tr.run})
	if got, errno := k.readAgain("there/layers/00/file", 8); got != "filefile" || errno != 0 {
		t.Errorf("it reads %q, %v", got, errno)
	}
}

// twoManifests is a directory of manifests.
type twoManifests struct {
	directoryNode
	manifests map[string]func() *manifestNode
}

// Lookup implements fusefs.NodeLookuper.
func (n *twoManifests) Lookup(ctx context.Context, name string, _ *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.NewInode(ctx, n.manifests[name](), identity(syscall.S_IFDIR, "of a test", name)), 0
}

// What two registries show is two files, though the layer's digest is one: each is as
// good as its registry's word.
func TestEntryOfTwoRegistries(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	content := tarWith(t, "file")
	root := &twoManifests{directoryNode: tr.directoryNode(), manifests: map[string]func() *manifestNode{}}
	for _, host := range []string{"evil", "good"} {
		s := &source{content: content}
		d := plainLayer(s, content, "")
		r := newRepository(tr, s, host+"/app", host)
		root.manifests[host] = func() *manifestNode {
			return &manifestNode{manifestPart{node: node{tree: tr}, repo: r, digest: d}}
		}
	}
	k := newKernel(t, root, tr.kernelOptions(&Options{}))
	if a, b := k.walk("evil/layers/00/file"), k.walk("good/layers/00/file"); a == b {
		t.Error("they are one inode")
	}
}
