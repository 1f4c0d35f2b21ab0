package mount

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// xattr reads one extended attribute by its name.
func (m *mount) xattr(t testing.TB, name string, elements ...string) string {
	t.Helper()
	return output(t, "getfattr", "--absolute-names", "--only-values", "-n", name, m.path(elements...))
}

// listXattrs lists the names of the extended attributes.
func (m *mount) listXattrs(t testing.TB, elements ...string) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(output(t, "getfattr", "--absolute-names", "-m", "-", m.path(elements...))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "# file:") {
			names = append(names, line)
		}
	}
	slices.Sort(names)
	return names
}

// hasXattrs fails the test unless the file has these extended attributes and
// no other, in the list and each by its name.
func (m *mount) hasXattrs(t testing.TB, want map[string]string, elements ...string) {
	t.Helper()
	path := strings.Join(elements, "/")
	if listed, names := m.listXattrs(t, elements...), slices.Sorted(maps.Keys(want)); !slices.Equal(listed, names) {
		t.Errorf("%s lists the attributes\n%q, not\n%q", path, listed, names)
	}
	for name, value := range want {
		if got := m.xattr(t, name, elements...); got != value {
			t.Errorf("%s: attribute %s is %q, not %q", path, name, got, value)
		}
	}
}
