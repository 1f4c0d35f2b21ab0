package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globs choose paths: those that some pattern includes, or all where none does, but for
// those that one excludes.
type globs struct{ include, exclude []string }

func (g globs) check() error {
	for flag, patterns := range map[string][]string{"include": g.include, "exclude": g.exclude} {
		for _, p := range patterns {
			if !doublestar.ValidatePattern(p) || strings.Trim(p, "/") == "" {
				return fmt.Errorf("--%s %q is no pattern: *.json, usr/lib/**, {a,b}/*", flag, p)
			}
		}
	}
	return nil
}

// wanted is the choice; nil is everything.
func (g globs) wanted() func(path string) bool {
	if len(g.include) == 0 && len(g.exclude) == 0 {
		return nil
	}
	return func(path string) bool {
		return (len(g.include) == 0 || matchesAny(g.include, path)) && !matchesAny(g.exclude, path)
	}
}

// matchesAny tells whether a pattern matches a path, or a directory that it is in: only
// that where the pattern ends in a slash. One without a slash before is for names, in
// whatever directory.
func matchesAny(patterns []string, file string) bool {
	for _, pattern := range patterns {
		at := file
		if strings.HasSuffix(pattern, "/") {
			at = path.Dir(at)
		}
		named := !strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
		pattern = strings.Trim(pattern, "/")
		for ; at != "." && at != ""; at = path.Dir(at) {
			name := at
			if named {
				name = path.Base(at)
			}
			if ok, err := doublestar.Match(pattern, name); ok && err == nil { // check has looked at it
				return true
			}
		}
	}
	return false
}
