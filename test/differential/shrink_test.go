package differential

import (
	"archive/tar"
	"maps"
	"path"
	"slices"
	"strings"
)

// shrink makes an image smaller as long as something stays as it is: layers and
// entries go, then whatever is unusual about those that are left.
func shrink(i *image, stays func(*image) bool) *image {
	for again := true; again; {
		again = false
		for _, step := range []func(*image) []*image{withoutLayers, withoutEntries, plainer, plainerEntries, shallower, renamed} {
			for n := 0; ; {
				smaller := step(i)
				if n >= len(smaller) {
					break
				}
				if stays(smaller[n]) {
					i, again = smaller[n], true
				} else {
					n++
				}
			}
		}
	}
	return i
}

// withoutLayers are the images that lack one layer.
func withoutLayers(i *image) (smaller []*image) {
	for k := range i.layers {
		c := i.clone()
		c.layers = slices.Delete(c.layers, k, k+1)
		if c.held == k+1 {
			c.held = 0
		} else if c.held > k+1 {
			c.held--
		}
		smaller = append(smaller, c)
	}
	return smaller
}

// withoutEntries are the images that lack one entry, the last ones first.
func withoutEntries(i *image) (smaller []*image) {
	for k := range slices.Backward(i.layers) {
		for n := range slices.Backward(i.layers[k].entries) {
			c := i.clone()
			c.layers[k].entries = slices.Delete(c.layers[k].entries, n, n+1)
			smaller = append(smaller, c)
		}
	}
	return smaller
}

// plainer are the images that have one thing less that isn't about entries.
func plainer(i *image) (smaller []*image) {
	if i.held != 0 {
		c := i.clone()
		c.held = 0
		smaller = append(smaller, c)
	}
	for k, l := range i.layers {
		if l.format != "tar" {
			c := i.clone()
			c.layers[k].format = "tar"
			smaller = append(smaller, c)
		}
		if l.ending != endWhole {
			c := i.clone()
			c.layers[k].ending = endWhole
			smaller = append(smaller, c)
		}
	}
	return smaller
}

// plainerEntries are the images in which one entry has one thing less.
func plainerEntries(i *image) (smaller []*image) {
	for k := range i.layers {
		for n, e := range i.layers[k].entries {
			for _, change := range changes {
				changed := e
				change(&changed)
				if changed.String() == e.String() {
					continue
				}
				c := i.clone()
				c.layers[k].entries[n] = changed
				smaller = append(smaller, c)
			}
		}
	}
	return smaller
}

// changes make an entry plainer.
var changes = []func(e *entry){
	func(e *entry) { e.mode = usual(e.kind, "", "").mode },
	func(e *entry) { e.uid, e.gid = 0, 0 },
	func(e *entry) { e.mtime = usualTime },
	func(e *entry) { e.xattrs = nil },
	func(e *entry) {
		e.xattrs = maps.Clone(e.xattrs)
		for key, value := range e.xattrs {
			e.xattrs[key] = "1"[:min(1, len(value))]
		}
	},
	func(e *entry) { e.pad = 0 },
	func(e *entry) { e.content = "x"[:min(1, len(e.content))] },
	func(e *entry) { e.content = "" },
	func(e *entry) {
		e.name = strings.TrimPrefix(path.Clean("/"+e.name), "/")
		if e.kind == tar.TypeDir {
			e.name += "/"
		}
	},
	func(e *entry) { e.name = shorter(e.name) },
	func(e *entry) { e.link = strings.TrimPrefix(path.Clean("/"+e.link), "/") },
	func(e *entry) { e.link = shorter(e.link) },
}

// shorter is a path without its first element.
func shorter(p string) string {
	if _, rest, ok := strings.Cut(strings.Trim(p, "/"), "/"); ok {
		return rest + p[len(strings.TrimRight(p, "/")):]
	}
	return p
}

// shallower are the images that lack one directory: what was in it is where it
// was.
func shallower(i *image) (smaller []*image) {
	dirs := map[string]bool{}
	for _, l := range i.layers {
		for _, e := range l.entries {
			for p := path.Dir(path.Clean(e.name)); p != "." && p != "/"; p = path.Dir(p) {
				dirs[p+"/"] = true
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		up := strings.TrimSuffix(dir, path.Base(dir)+"/")
		c := i.clone()
		for k := range c.layers {
			for n := range c.layers[k].entries {
				e := &c.layers[k].entries[n]
				for _, p := range []*string{&e.name, &e.link} {
					if rest, ok := strings.CutPrefix(*p, dir); ok && rest != "" {
						*p = up + rest
					}
				}
			}
		}
		smaller = append(smaller, c)
	}
	return smaller
}

// renamed is the image with the names a, b, c… in the order in which they occur,
// so that two that differ in their names alone look alike. It is none if those
// are its names.
func renamed(i *image) []*image {
	names := map[string]string{}
	name := func(p string) string {
		elements := strings.Split(p, "/")
		for k, element := range elements {
			prefix := ""
			if rest, ok := strings.CutPrefix(element, ".wh."); ok && !strings.HasPrefix(rest, ".wh.") && rest != "" {
				prefix, element = ".wh.", rest
			}
			if strings.Trim(element, ".") == "" || strings.HasPrefix(element, ".wh.") {
				continue
			}
			if names[element] == "" {
				names[element] = string(rune('a' + len(names)))
			}
			elements[k] = prefix + names[element]
		}
		return strings.Join(elements, "/")
	}
	c := i.clone()
	for k := range c.layers {
		for n := range c.layers[k].entries {
			e := &c.layers[k].entries[n]
			e.name, e.link = name(e.name), name(e.link)
		}
	}
	if len(names) > 20 || c.String() == i.String() {
		return nil
	}
	return []*image{c}
}
