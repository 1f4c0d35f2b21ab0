package fs

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/resolver"
)

// list runs names through children, as a catalog in pages would.
func list(below string, names []string) (found []string, read int) {
	c := children{below: below}
	for i, name := range names {
		if child, ok := c.next(name); ok {
			found = append(found, child)
		}
		if c.over {
			return found, i + 1
		}
	}
	return found, len(names)
}

func TestChildren(t *testing.T) {
	names := []string{"a", "a-b", "a-b/x", "a.c/y", "a/c", "a/c/d", "b/a", "library/nginx", "library/nginx/mirror", "library/redis", "zoo"}
	byBytes := slices.Clone(names)
	slices.Sort(byBytes)
	byPaths := slices.Clone(names)
	slices.SortFunc(byPaths, func(a, b string) int { return strings.Compare(resolver.ByComponent(a), resolver.ByComponent(b)) })

	for order, sorted := range map[string][]string{"bytes": byBytes, "path": byPaths} {
		for below, want := range map[string][]string{
			"":               {"a", "a-b", "a.c", "b", "library", "zoo"},
			"a/":             {"c"},
			"library/":       {"nginx", "redis"},
			"library/nginx/": {"mirror"},
			"nothing/":       nil,
		} {
			found, _ := list(below, sorted)
			slices.Sort(found)
			if !slices.Equal(found, want) {
				t.Errorf("sorted by %s, below %q: %q, want %q", order, below, found, want)
			}
		}
	}
	if _, read := list("a/", byBytes); read == len(byBytes) {
		t.Error("the whole catalog was read for a namespace at its beginning")
	}
}

// Whatever the names, in both orders each child comes exactly once.
func TestChildrenOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var names []string
		for range random.IntN(40) {
			var name strings.Builder
			for range 1 + random.IntN(6) {
				name.WriteByte("ab-./"[random.IntN(5)])
			}
			if valid := strings.Trim(name.String(), "/"); valid != "" && !strings.Contains(valid, "//") {
				names = append(names, valid)
			}
		}
		want := map[string]bool{}
		for _, name := range names {
			child, _, _ := strings.Cut(name, "/")
			want[child] = true
		}
		for _, order := range []func(string) string{func(s string) string { return s }, resolver.ByComponent} {
			slices.SortFunc(names, func(a, b string) int { return strings.Compare(order(a), order(b)) })
			found, _ := list("", names)
			if len(found) != len(want) {
				t.Fatalf("%q: found %q", names, found)
			}
			for _, child := range found {
				if !want[child] {
					t.Fatalf("%q: found %q", names, found)
				}
			}
		}
	}
}
