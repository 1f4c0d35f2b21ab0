package fs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Referrers implements resolver.Source.
func (s *source) Referrers(context.Context, ocispec.Descriptor, string) ([]ocispec.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.referrers, s.ask("referrers", true)
}

// placed are referrers of those artifact types.
func placed(t *testing.T, types ...string) referrers {
	t.Helper()
	tr, _ := loggedTree(t)
	var found []ocispec.Descriptor
	for i, artifactType := range types {
		found = append(found, ocispec.Descriptor{Digest: digest.FromString(fmt.Sprint(i)), ArtifactType: artifactType})
	}
	return newRepository(tr, nil, "host/app", "host").placeReferrers("", found)
}

// TestReferrerFolders compares the folders of random referrers with what a look at
// each of them tells.
func TestReferrerFolders(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "a-b", "ab", "a\x01", "b", "z"}
	for range 200 {
		var types []string
		for range random.IntN(30) {
			elements := make([]string, 1+random.IntN(3))
			for i := range elements {
				elements[i] = names[random.IntN(len(names))]
			}
			types = append(types, strings.Join(elements, "/"))
		}
		all := placed(t, append(types, types...)...)
		folders := []string{""}
		for len(folders) > 0 {
			folder := folders[0]
			folders = folders[1:]
			want := map[string]digest.Digest{}
			for _, r := range all {
				if rest, ok := strings.CutPrefix(r.place, folder); ok {
					name, _, deeper := strings.Cut(rest, "\x00")
					if want[name] = r.digest; deeper {
						want[name] = ""
					}
				}
			}
			listed := 0
			for e := range all.entries(folder) {
				if d, ok := want[e.name]; !ok || d != e.digest {
					t.Errorf("%q: %q in %q is %q, %v", types, e.name, folder, d, ok)
				}
				if e.digest == "" {
					folders = append(folders, folder+e.name+"\x00")
				}
				listed++
			}
			if listed != len(want) {
				t.Errorf("%q: %d entries in %q, not %d", types, listed, folder, len(want))
			}
			for _, name := range append(names, "none") {
				e, ok := all.entry(folder, name)
				if d, is := want[name]; ok != is || e.digest != d {
					t.Errorf("%q: %q in %q is %v, %v", types, name, folder, e, ok)
				}
			}
		}
	}
}

// A link and a folder of one name: the link is there.
func TestReferrerNames(t *testing.T) {
	link := digest.FromString("0").Encoded()
	all := placed(t, "a", "a/"+link)
	for e := range all.entries("a\x00") {
		if e.name != link || e.digest.Encoded() != link {
			t.Errorf("an entry is %v", e)
		}
	}
	if e, ok := all.entry("a\x00", link); !ok || e.digest == "" {
		t.Errorf("the name is %v, %v", e, ok)
	}
}

// referrersDirectory is the directory of so many referrers of one type.
func referrersDirectory(t *testing.T, count int) (*referrersNode, *source) {
	t.Helper()
	tr, _ := treeOn(t, "")
	s := &source{}
	subject := s.add("")
	for i := range count {
		s.referrers = append(s.referrers, ocispec.Descriptor{Digest: digest.FromString(fmt.Sprint(i)), ArtifactType: "application/x"})
	}
	r := newRepository(tr, s, "host/app", "host")
	n := &referrersNode{manifestPart{node: node{tree: tr}, repo: r, digest: subject}, "application\x00x\x00"}
	fusefs.NewNodeFS(n, tr.kernelOptions(&Options{}))
	return n, s
}

// TestManyReferrers lists a folder and looks all of it up: the registry is asked
// once, and a name costs no more where there are many.
func TestManyReferrers(t *testing.T) {
	const many = 5000
	n, s := referrersDirectory(t, many)
	handle, _, errno := n.OpendirHandle(t.Context(), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	open, ok := handle.(lookupDirectory)
	if !ok {
		t.Fatalf("an open directory is a %T", handle)
	}
	listed := 0
	for {
		e, errno := open.Readdirent(t.Context())
		if errno != 0 {
			t.Fatal(errno)
		}
		if e == nil {
			break
		}
		if e.Mode != syscall.S_IFLNK {
			continue // the directory itself, and the one above
		}
		for _, lookup := range []func(context.Context, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno){open.Lookup, n.Lookup} {
			if child, errno := lookup(t.Context(), e.Name, &fuse.EntryOut{}); errno != 0 || child.StableAttr().Ino != e.Ino {
				t.Fatalf("%s: %v, %v", e.Name, child, errno)
			}
		}
		listed++
	}
	open.Releasedir(t.Context(), 0)
	if listed != many {
		t.Errorf("%d of %d referrers are listed", listed, many)
	}
	if got, want := s.questions(), []string{"manifest", "referrers"}; !slices.Equal(got, want) {
		t.Errorf("%d questions: %q", len(got), got[:min(len(got), 10)])
	}

	few, _ := referrersDirectory(t, 10)
	cost := func(n *referrersNode) float64 {
		return testing.AllocsPerRun(10, func() {
			if _, errno := n.Lookup(t.Context(), digest.FromString("7").Encoded(), &fuse.EntryOut{}); errno != 0 {
				t.Error(errno)
			}
		})
	}
	if a, b := cost(few), cost(n); b > a+20 { // a look at all takes thousands
		t.Errorf("a name among 10 takes %v allocations, and among %d %v", a, many, b)
	}
}

// TestListingOfReferrersEnds has nobody read on: no more of them are looked at.
func TestListingOfReferrersEnds(t *testing.T) {
	n, _ := referrersDirectory(t, 5000)
	all, errno := n.all(t.Context())
	if errno != 0 {
		t.Fatal(errno)
	}
	given, enough := 0, errors.New("enough")
	err := n.list(all, func(page []fuse.DirEntry) error {
		given += len(page)
		return enough
	})
	if !errors.Is(err, enough) || given > referrersPage {
		t.Errorf("%d entries are made after the end: %v", given, err)
	}
}
