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
		fake.Reset()
		n := &namespaceNode{directoryNode: tr.directoryNode(), registry: &registry{tree: tr, remote: remote}, name: name}
		fusefs.NewNodeFS(n, tr.kernelOptions(&Options{}))
		var got []string
		_, _, err := n.listCatalog(t.Context(), nil, func(page []fuse.DirEntry) error {
			for _, e := range page {
				got = append(got, e.Name)
			}
			return nil
		})
		slices.Sort(got)
		if err != nil || !slices.Equal(slices.Compact(got), want.below) {
			t.Errorf("below %s: %q, %v", name, got, err)
		}
		if requests := fake.Count("", "_catalog"); requests != want.requests {
			t.Errorf("below %s: %d requests, want %d", name, requests, want.requests)
		}
	}
}
