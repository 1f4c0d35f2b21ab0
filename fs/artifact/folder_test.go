package artifact

import (
	"fmt"
	"strings"
	"testing"
)

// paths lists what is in a folder: the files below it with the layer of each, and
// the archives that are unpacked into it or a folder below it.
func paths(f *Folder, above string) []string {
	var all []string
	for _, a := range f.Archives {
		all = append(all, fmt.Sprintf("%s*=%d", above, a.Layer))
	}
	for _, name := range f.Names {
		if e := f.Children[name]; e.Folder != nil {
			all = append(all, paths(e.Folder, above+name+"/")...)
		} else {
			all = append(all, fmt.Sprintf("%s%s=%d", above, name, e.Layer))
		}
	}
	return all
}

func FuzzSplitPath(f *testing.F) {
	for _, title := range []string{"a", "docs/readme.md", "../x", "/etc/passwd", "a\x00", "./a//b/", ".."} {
		f.Add(title)
	}
	f.Fuzz(func(t *testing.T, title string) {
		elements, err := SplitPath(title)
		if err != nil {
			return
		}
		for _, e := range elements {
			if e == "" || e == "." || e == ".." || strings.ContainsAny(e, "/\x00") || len(e) > maxName {
				t.Errorf("title %q has the element %q", title, e)
			}
		}
	})
}
