package mount

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// referrers are the links below referrers/ of a manifest, by artifact type and
// digest. Each leads to the manifest with that digest.
func (m *mount) referrers(t testing.TB, manifest string) []string {
	t.Helper()
	var links []string
	for name := range strings.Lines(output(t, "find", m.path(manifest, "referrers"), "-type", "l", "-printf", `%P\n`)) {
		name = strings.TrimSuffix(name, "\n")
		if got := digest.FromString(m.cat(t, manifest, "referrers", name, "manifest.json")).Encoded(); got != path.Base(name) {
			t.Errorf("%s leads to the manifest %s", name, got)
		}
		links = append(links, name)
	}
	slices.Sort(links)
	return links
}

// referrerTypes are the artifact types of those.
func (m *mount) referrerTypes(t testing.TB, manifest string) []string {
	t.Helper()
	types := m.referrers(t, manifest)
	for i, name := range types {
		types[i] = path.Dir(name)
	}
	return slices.Compact(types)
}

// referrerTree are the links of a manifest and of what refers to it, each with
// those below it.
func (m *mount) referrerTree(t testing.TB, manifest string) []string {
	t.Helper()
	var tree []string
	for _, name := range m.referrers(t, manifest) {
		tree = append(tree, name)
		for _, further := range m.referrerTree(t, manifest+"/referrers/"+name) {
			tree = append(tree, name+"/"+further)
		}
	}
	slices.Sort(tree)
	return tree
}

// A discovered is what `oras discover` says of a manifest.
type discovered struct {
	Digest       digest.Digest
	ArtifactType string
	Referrers    []discovered
}

// tree is what referrerTree must be.
func (d discovered) tree() []string {
	var tree []string
	for _, r := range d.Referrers {
		name := r.ArtifactType + "/" + r.Digest.Encoded()
		tree = append(tree, name)
		for _, further := range r.tree() {
			tree = append(tree, name+"/"+further)
		}
	}
	slices.Sort(tree)
	return tree
}

// discover asks oras for what refers to a manifest.
func (r *registry) discover(t testing.TB, reference string) discovered {
	t.Helper()
	var d discovered
	printed := orasIn(t, "", "discover", "--format", "json", r.host+"/"+reference)
	if err := json.Unmarshal([]byte(printed), &d); err != nil {
		t.Fatalf("oras discover %s: %v\n%s", reference, err, printed)
	}
	return d
}
