package fs

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/resolver"
	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestCatalogBelow lists names in a catalog of many pages: that takes those on which
// something is below, and the one after, and one where nothing is.
func TestCatalogBelow(t *testing.T) {
	fake := fakeregistry.New()
	for _, name := range []string{"aa/app", "aa/app-x", "aa/app/deep", "aa/none", "aa/none-x", "aa/other"} {
		fake.AddArtifact(name, "v1", "", nil)
	}
	for i := range 50 {
		fake.AddArtifact(fmt.Sprintf("z%02d", i), "v1", "", nil)
	}
	fake.SetListing(fakeregistry.Listing{MaxPage: 5})
	server := httptest.NewServer(fake)
	defer server.Close()
	remote, err := resolver.NewRegistry(strings.TrimPrefix(server.URL, "http://"), resolver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close() //nolint:errcheck // it was only read
	tr, _ := treeOn(t, "")
	list := func(name string) (below []string, requests int) {
		t.Helper()
		fake.Reset()
		n := &namespaceNode{directoryNode: tr.directoryNode(), registry: &registry{tree: tr, remote: remote}, name: name}
		fusefs.NewNodeFS(n, tr.kernelOptions(&Options{}))
		_, _, err := n.listCatalog(t.Context(), nil, func(page []fuse.DirEntry) error {
			for _, e := range page {
				below = append(below, e.Name)
			}
			return nil
		})
		if err != nil {
			t.Errorf("below %s: %v", name, err)
		}
		slices.Sort(below)
		return slices.Compact(below), fake.Count("", "_catalog")
	}
	for name, want := range map[string]struct {
		below    []string
		requests int
	}{
		"aa":      {[]string{"app", "app-x", "none", "none-x", "other"}, 2},
		"aa/app":  {[]string{"deep"}, 1},
		"aa/none": {nil, 1},
		"nothing": {nil, 1},
		"zz":      {nil, 1},
	} {
		if got, requests := list(name); !slices.Equal(got, want.below) || requests != want.requests {
			t.Errorf("below %s: %q in %d requests, want %+v", name, got, requests, want)
		}
	}
	// In a catalog without an order it may be on any page.
	fake.SetListing(fakeregistry.Listing{MaxPage: 5, Backwards: true})
	if got, _ := list("aa/app"); !slices.Equal(got, []string{"deep"}) {
		t.Errorf("in no order: %q", got)
	}
}
