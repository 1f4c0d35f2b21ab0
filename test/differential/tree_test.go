package differential

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A tree is what is below a directory, by path. The directory itself isn't in it.
type tree map[string]fact

// A fact is all that is compared of a name.
type fact struct {
	Kind    string // file, dir, symlink, char, block, fifo; failed where it couldn't be read
	Mode    uint32
	UID     uint32
	GID     uint32
	Size    int64 // of files and links
	MTime   int64 // nanoseconds since 1970
	Content string
	Target  string
	Device  string
	Xattrs  map[string]string // user.* alone: others are the system's to give
	Same    string            // the first name of the inode, of anything but a directory
	Links   uint64            // likewise
	Failure string

	// AnyTime is that no time is expected: those who should know it disagree.
	AnyTime bool
}

// aspects are the parts of a fact, and how each is shown.
var aspects = []struct {
	name string
	of   func(f *fact) string
}{
	{"kind", func(f *fact) string { return f.Kind + f.Failure }},
	{"mode", func(f *fact) string { return fmt.Sprintf("%#o", f.Mode) }},
	{"owner", func(f *fact) string { return fmt.Sprintf("%d:%d", f.UID, f.GID) }},
	{"size", func(f *fact) string { return fmt.Sprint(f.Size) }},
	{"mtime", func(f *fact) string { return fmt.Sprint(f.MTime) }},
	{"content", func(f *fact) string { return fmt.Sprintf("%q", f.Content) }},
	{"target", func(f *fact) string { return fmt.Sprintf("%q", f.Target) }},
	{"device", func(f *fact) string { return f.Device }},
	{"xattrs", func(f *fact) string { return xattrText(f.Xattrs) }},
	{"same", func(f *fact) string { return fmt.Sprintf("%q", f.Same) }},
	{"links", func(f *fact) string { return fmt.Sprint(f.Links) }},
}

func xattrText(xattrs map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(xattrs)) {
		fmt.Fprintf(&b, " %s=%q", key, xattrs[key])
	}
	return b.String()
}

func (f *fact) String() string {
	words := []string{f.Kind + f.Failure}
	for _, a := range aspects[1:] {
		switch s := a.of(f); {
		case a.name == "mtime" && f.AnyTime:
			words = append(words, "mtime any")
		case s != "" && s != "0" && s != `""`:
			words = append(words, a.name+" "+s)
		}
	}
	return strings.Join(words, " ")
}

// A difference is that something isn't as it should be.
type difference struct {
	path   string
	aspect string // one of aspects, or missing or surplus
	want   string
	got    string
}

func (d *difference) String() string {
	switch d.aspect {
	case "missing":
		return fmt.Sprintf("%q is missing: %s", d.path, d.want)
	case "surplus":
		return fmt.Sprintf("%q is there: %s", d.path, d.got)
	}
	return fmt.Sprintf("%q has %s %s, not %s", d.path, d.aspect, cmp.Or(d.got, "none"), cmp.Or(d.want, "none"))
}

// compare tells what in a tree isn't as in the one that is wanted, by path.
func compare(want, got tree) []difference {
	var found []difference
	for _, p := range slices.Sorted(maps.Keys(want)) {
		w := want[p]
		g, ok := got[p]
		if !ok {
			found = append(found, difference{p, "missing", w.String(), ""})
			continue
		}
		found = append(found, w.compare(p, &g)...)
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			g := got[p]
			found = append(found, difference{p, "surplus", "", g.String()})
		}
	}
	return found
}

// compare tells in what another fact isn't as this one. Of different kinds of
// things nothing further is told.
func (f *fact) compare(p string, other *fact) []difference {
	var found []difference
	for _, a := range aspects {
		if a.name == "mtime" && f.AnyTime {
			continue
		}
		if w, g := a.of(f), a.of(other); w != g {
			found = append(found, difference{p, a.name, w, g})
			if a.name == "kind" {
				break
			}
		}
	}
	return found
}

func (t tree) String() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(t)) {
		f := t[p]
		fmt.Fprintf(&b, "  %q: %s\n", p, &f)
	}
	return b.String()
}
