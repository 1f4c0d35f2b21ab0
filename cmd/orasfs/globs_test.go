package main

import (
	"slices"
	"testing"
)

// What patterns choose of paths.
func TestGlobs(t *testing.T) {
	paths := []string{"README.md", "config.json", "usr/bin/a", "usr/lib/a/b.so", "usr/lib/c.json", "var/lib/c", "weights/1.bin"}
	for _, c := range []struct {
		include, exclude string
		want             []string
	}{
		{"*.json", "", []string{"config.json", "usr/lib/c.json"}},
		{"/*.json", "", []string{"config.json"}},
		{"**", "", paths},
		{"**/", "", paths[2:]},
		{"*", "", paths},
		{"/*", "/usr", []string{"README.md", "config.json", "var/lib/c", "weights/1.bin"}},
		{"lib", "", []string{"usr/lib/a/b.so", "usr/lib/c.json", "var/lib/c"}},
		{"/lib", "", nil},
		{"a", "", []string{"usr/bin/a", "usr/lib/a/b.so"}},
		{"a/", "", []string{"usr/lib/a/b.so"}},
		{"usr/lib/", "**/c.*", []string{"usr/lib/a/b.so"}},
		{"usr/lib/**", "", []string{"usr/lib/a/b.so", "usr/lib/c.json"}},
		{"**/{bin,lib}/?", "", []string{"usr/bin/a", "usr/lib/a/b.so", "var/lib/c"}},
		{"[!c]*.json", "", nil},
		{"", "*.json", []string{"README.md", "usr/bin/a", "usr/lib/a/b.so", "var/lib/c", "weights/1.bin"}},
		{"", "**", nil},
		{"../usr", "", nil},
	} {
		var g globs
		if c.include != "" {
			g.include = []string{"nothing", c.include}
		}
		if c.exclude != "" {
			g.exclude = []string{c.exclude, "nothing"}
		}
		if err := g.check(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		wanted := g.wanted()
		got := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !wanted(p) })
		if !slices.Equal(got, c.want) {
			t.Errorf("--include %q --exclude %q: %q, not %q", c.include, c.exclude, got, c.want)
		}
	}
	if (globs{}).wanted() != nil {
		t.Error("without a pattern something is chosen")
	}
	for _, bad := range []string{"", "/", "//", "[a", "{a", `a\`} {
		if err := (globs{include: []string{bad}}).check(); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
		wantError(t, globs{exclude: []string{bad}}.check(), "--exclude")
	}
}
