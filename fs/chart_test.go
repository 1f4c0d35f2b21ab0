package fs

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/archive"
)

// rootOf is the root of a tar.
func rootOf(t *testing.T, content string) archive.Node {
	t.Helper()
	layers, err := json.Marshal([]ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(content), Size: int64(len(content))},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &source{content: content}
	d := s.add(`,"layers":` + string(layers))
	tr, _ := treeOn(t, t.TempDir())
	tree, err := imageLayers{newRepository(tr, s, "host/app", "host"), d, 0}.image().Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

// TestUnpackChart unpacks an archive with names that Helm takes for the same, or
// for none.
func TestUnpackChart(t *testing.T) {
	root := rootOf(t, emptyFiles(t, "web/Chart.yaml", `web\templates\a.yaml`, "web/templates/b.yaml", "other/Chart.yaml",
		`web\values`, "web/values/x", "beside", `web\..\..\out`))
	var skipped []string
	u := chartUnpacker{root: newChartFolder(), skipped: func(name string, err error) {
		if err == nil {
			t.Errorf("%s is left out without a reason", name)
		}
		skipped = append(skipped, name)
	}}
	if err := u.unpack(root); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(u.root.children)); !slices.Equal(got, []string{"Chart.yaml", "templates", "values"}) || len(u.root.names) != 3 {
		t.Errorf("the chart holds %q, listed as %q", got, u.root.names)
	}
	if got := slices.Sorted(maps.Keys(u.root.children["templates"].folder.children)); !slices.Equal(got, []string{"a.yaml", "b.yaml"}) {
		t.Errorf("its templates are %q", got)
	}
	slices.Sort(skipped)
	if len(skipped) != 3 || skipped[0] != "beside" || skipped[1] != `web\..\..\out` {
		t.Errorf("left out are %q", skipped)
	}

	full := chartUnpacker{root: newChartFolder(), entries: maxChartEntries - 2, skipped: u.skipped}
	if err := full.unpack(root); err == nil {
		t.Error("a chart of too many entries is unpacked")
	}
}
