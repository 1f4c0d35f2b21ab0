package fs

import (
	"archive/tar"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// inMemory is a blob that is held in memory.
type inMemory struct{ *bytes.Reader }

func (b inMemory) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return b.Reader.ReadAt(p, off)
}

// keepsNothing is a store without an index.
type keepsNothing struct{ archive.Store }

func (keepsNothing) Index(string) ([]byte, bool) { return nil, false }

func (keepsNothing) PutIndex(string, []byte) bool { return false }

// treeOf is the tree of a tar with those names; those that end with a slash are
// directories, those with an arrow links.
func treeOf(t testing.TB, names ...string) *archive.Tree {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		} else if name, target, ok := strings.Cut(name, " -> "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, name, target
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := archive.Open(t.Context(), &archive.Source{
		Blob: inMemory{bytes.NewReader(b.Bytes())}, Size: int64(b.Len()), Digest: digest.FromBytes(b.Bytes()), Store: keepsNothing{},
	})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := archive.Apply(t.Context(), []*archive.Layer{l}, archive.How{Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestFileIn(t *testing.T) {
	for _, test := range []struct {
		path, want string // "" is none
		names      []string
	}{
		{"w/a.bin", "w/a.bin", []string{"a.bin", "b.bin", "w/a.bin"}},
		{"./w//a.bin", "w/a.bin", []string{"b.bin", "w/a.bin"}},
		{"w/a.bin", "a.bin", []string{"a.bin", "b.bin"}},
		{"w/a.bin", "x/y/z.bin", []string{"x/", "x/y/", "x/y/z.bin", "e/", "l -> x/y/z.bin"}},
		{"w/a.bin", "x/a.bin", []string{"w/a.bin/", "x/a.bin"}},
		{"w/a.bin", "", []string{"x/b.bin", "y/c.bin"}},
		{"w/a.bin", "", []string{"w/", "w/a.bin -> ../x", "a.bin/"}},
		{"w/a.bin", "", nil},
	} {
		got, ok := fileIn(treeOf(t, test.names...), test.path)
		if ok != (test.want != "") || ok && got.Path() != test.want {
			t.Errorf("%s in %q is %t, want %q", test.path, test.names, ok, test.want)
		}
	}
}

func TestAlone(t *testing.T) {
	for _, test := range []struct {
		dir   string
		want  bool
		names []string
	}{
		{"docs", true, []string{"docs/", "docs/LICENSE", "docs/b"}},
		{"docs", true, []string{"./", "./docs/a"}},
		{"docs", false, []string{"README.md", "docs/", "docs/LICENSE"}},
		{"docs", false, []string{"docs/", "docs/a", "z -> docs"}},
		{"a/b", true, []string{"a/b/c", "a/b/d"}},
		{"a/b", false, []string{"a/b/c", "a/d"}},
		{"a/b", false, []string{"a/b/c", "d/"}},
	} {
		dir, ok := treeOf(t, test.names...).At(test.dir)
		if !ok {
			t.Fatalf("no %s in %q", test.dir, test.names)
		}
		if got := alone(dir); got != test.want {
			t.Errorf("%s in %q is alone: %t", test.dir, test.names, got)
		}
	}
}
