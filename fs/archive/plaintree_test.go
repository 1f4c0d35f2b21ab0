package archive

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// A plainTree is a file tree as simple as it can be: what is at each path, and
// for each entry all of it is looked through.
type plainTree struct {
	files   map[string]*plainFile
	entered map[string]int // the last layer that has had an entry for a path
	cleared map[string]int // the last layer that has made a directory opaque
}

func newPlainTree() plainTree {
	return plainTree{map[string]*plainFile{plainRoot: {typ: 'd'}}, map[string]int{}, map[string]int{}}
}

// plainRoot is in the place of the root's path, which every path begins with.
const plainRoot = "/"

type plainFile struct {
	typ  byte // 'd', 'f' or 'l'
	text string
}

// real is a path with its links resolved, the last element too; false is that
// there are too many.
func (p plainTree) real(name string) (string, bool) {
	done, ahead, links := "", strings.Split(name, "/"), 0
	for len(ahead) > 0 {
		element := ahead[0]
		ahead = ahead[1:]
		switch next := path.Join(done, element); {
		case element == "" || element == ".":
		case element == "..":
			if done = path.Dir(done); done == "." {
				done = ""
			}
		case p.files[next] != nil && p.files[next].typ == 'l':
			if links++; links > maxLinks {
				return "", false
			}
			if strings.HasPrefix(p.files[next].text, "/") {
				done = ""
			}
			ahead = append(strings.Split(p.files[next].text, "/"), ahead...)
		default:
			done = next
		}
	}
	return done, true
}

func (p plainTree) isDir(name string) bool {
	return name == "" || p.files[name] != nil && p.files[name].typ == 'd'
}

func (p plainTree) remove(name string, only func(*plainFile) bool) {
	for other, f := range p.files {
		if (other == name || strings.HasPrefix(other, name+"/")) && only(f) {
			delete(p.files, other)
		}
	}
}

func all(*plainFile) bool { return true }

// apply applies one entry of a layer.
func (p plainTree) apply(f file, layer int) {
	name := path.Clean("/" + f.name)[1:]
	dir, base := path.Split(name)
	dir, ok := p.real(dir)
	if !ok || base == "" {
		return
	}
	at := path.Join(dir, base)
	if hidden, is := strings.CutPrefix(base, whiteout); is {
		if !p.free(dir) {
			return
		}
		p.makeWay(dir)
		switch {
		case base == opaque:
			p.clear(dir, layer)
		case hidden != "" && hidden != "." && hidden != "..":
			p.remove(path.Join(dir, hidden), all)
		}
		return
	}
	p.makeWay(dir)
	made := &plainFile{typ: 'f', text: f.content}
	switch {
	case strings.HasSuffix(f.name, "/"):
		if p.isDir(at) {
			p.entered[at] = layer
			return
		}
		made = &plainFile{typ: 'd'}
	case f.link != "":
		made = &plainFile{typ: 'l', text: f.link}
	case f.hard != "":
		p.remove(at, all)
		way, last := path.Split(path.Clean("/" + f.hard)[1:])
		way, ok := p.real(way)
		target := p.files[path.Join(way, last)]
		if !ok || target == nil || target.typ == 'd' || !p.isDir(way) {
			return
		}
		made = &plainFile{typ: target.typ, text: target.text}
	}
	p.remove(at, all)
	p.files[at], p.entered[at] = made, layer
}

// makeWay makes each directory on a way that is none.
func (p plainTree) makeWay(dir string) {
	for i := range len(dir) + 1 {
		if i < len(dir) && dir[i] != '/' || dir == "" {
			continue
		}
		if parent := dir[:i]; !p.isDir(parent) {
			p.remove(parent, all)
			p.files[parent] = &plainFile{typ: 'd'}
		}
	}
}

// free tells whether nothing but directories is on a way.
func (p plainTree) free(dir string) bool {
	for at := dir; at != "" && at != "."; at = path.Dir(at) {
		if p.files[at] != nil && !p.isDir(at) {
			return false
		}
	}
	return true
}

// clear is what an opaque marker does, from the top down.
func (p plainTree) clear(dir string, layer int) {
	if p.cleared[dir] == layer {
		return
	}
	p.cleared[dir] = layer
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if f := p.files[name]; f != nil && name != plainRoot && p.entered[name] != layer && (dir == "" || strings.HasPrefix(name, dir+"/")) {
			p.remove(name, all)
		}
	}
}

// end is what becomes of a layer's directories when all of it has been applied:
// those that are gone are made again.
func (p plainTree) end(files []file) {
	for _, f := range files {
		if _, base := path.Split(path.Clean(f.name)); !strings.HasSuffix(f.name, "/") || strings.HasPrefix(base, whiteout) {
			continue
		}
		name, ok := p.real(path.Clean("/" + f.name)[1:])
		var missing []string
		for at := name; at != "" && at != "."; at = path.Dir(at) {
			ok = ok && (p.files[at] == nil || p.isDir(at))
			if p.files[at] == nil {
				missing = append(missing, at)
			}
		}
		for _, at := range missing {
			if ok {
				p.files[at] = &plainFile{typ: 'd'}
			}
		}
	}
}

func (p plainTree) show() string {
	var lines []string
	for name, f := range p.files {
		if name == plainRoot {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %c %s", name, f.typ, f.text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func shownPlainly(t *testing.T, m image) string {
	t.Helper()
	var lines []string
	var walk func(n Node)
	walk = func(n Node) {
		for child := range n.Entries("") {
			typ, text := map[Type]byte{TypeDir: 'd', TypeRegular: 'f', TypeSymlink: 'l'}[child.Type()], child.Target()
			if typ == 'f' {
				content := make([]byte, child.Attr().Size)
				if _, err := m.readFile(child, content, 0); err != nil && len(content) > 0 {
					t.Fatal(err)
				}
				text = string(content)
			}
			lines = append(lines, fmt.Sprintf("%s %c %s", child.Path(), typ, text))
			walk(child)
		}
	}
	walk(m.Root())
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// randomLayer is entries of few names, so that they meet.
func randomLayer(r *rand.Rand, layer int) []file {
	names := []string{"a", "b", "c", "d"}
	some := func() string {
		var elements []string
		for range 1 + r.IntN(4) {
			elements = append(elements, names[r.IntN(len(names))])
		}
		return strings.Join(elements, "/")
	}
	var files []file
	for i := range 1 + r.IntN(10) {
		name := some()
		switch r.IntN(9) {
		case 0, 1:
			files = append(files, file{name: name + "/"})
		case 2, 3:
			target := []string{some(), "/" + some(), "../" + some(), "..", ".", some() + "/../" + some()}[r.IntN(6)]
			files = append(files, file{name: name, link: target})
		case 4:
			files = append(files, file{name: name, hard: some()})
		case 5:
			dir, base := path.Split(name)
			files = append(files, file{name: dir + whiteout + base})
		case 6:
			files = append(files, file{name: name + "/" + opaque})
		default:
			files = append(files, file{name: name, content: fmt.Sprintf("%d.%d", layer, i)})
		}
	}
	return files
}

func comparePlainly(t *testing.T, r *rand.Rand) {
	t.Helper()
	plain, layers := newPlainTree(), [][]file{}
	for k := range 1 + r.IntN(4) {
		layers = append(layers, randomLayer(r, k))
		for _, f := range layers[k] {
			plain.apply(f, k+1)
		}
		plain.end(layers[k])
	}
	if got, want := shownPlainly(t, imageOf(t, layers...)), plain.show(); got != want {
		t.Errorf("layers %+v\nshow\n%s\nand should show\n%s", layers, got, want)
	}
}
