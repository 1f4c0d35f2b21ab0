package fs

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/cache"
)

// TestHolders has a manifest with a layer that is no descriptor: the others are held
// all the same.
func TestHolders(t *testing.T) {
	dir := t.TempDir()
	tr, end := treeOn(t, dir)
	s, layer := &source{}, digest.FromString("layer")
	manifest := s.add(fmt.Sprintf(`,"layers":[{},{"mediaType":"text/plain","digest":%q,"size":5}]`, layer))
	if _, err := newRepository(tr, s, "host/app", "host").artifact(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	end()
	d, err := cache.OpenDirectory(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // it was only read
	holders := Holders(d)
	for _, held := range []digest.Digest{manifest, layer, digest.FromString("{}")} {
		if got := holders[held]; !slices.Equal(got, []string{"host/app"}) {
			t.Errorf("%s is held by %q", held, got)
		}
	}
	if len(holders) != 3 {
		t.Errorf("what is held: %v", holders)
	}
}
