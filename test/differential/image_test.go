package differential

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An image is what its layers are written from. It has a form as text, in which
// failures are printed and kept; what is as usual isn't said there:
//
//	layer tar
//	dir app/ mode=0700
//	symlink current -> app
//	layer gzip noend
//	file current/x content=new xattr.user.a=1
type image struct {
	layers []layer
	held   int // the layer whose bytes stay away at the first look, counted from 1; 0 is none
}

// A layer is a tar and how it is written.
type layer struct {
	format  string // a key of formats
	ending  string // how the tar ends: one of endings
	entries []entry
}

// The endings of a tar: as it should be; without end blocks; without them and
// the last entry's padding.
const (
	endWhole   = "whole"
	endNoBlock = "noend"
	endNoPad   = "nopad"
)

var endings = []string{endWhole, endNoBlock, endNoPad}

// An entry is one of a tar.
type entry struct {
	kind    byte // its type in the header
	name    string
	link    string
	mode    int64
	uid     int64
	gid     int64
	mtime   int64 // nanoseconds since 1970
	content string
	pad     int64 // bytes that nothing makes smaller, after the content
	major   int64
	minor   int64
	xattrs  map[string]string
}

const usualTime = 1_000_000_000_000_000_000

// kinds are the words for the types of entries.
var kinds = map[byte]string{
	tar.TypeReg: "file", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink",
	tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo",
	0: "oldfile", tar.TypeCont: "contiguous", tar.TypeXGlobalHeader: "global",
}

// usual is an entry of which nothing is said but its kind and its names.
func usual(kind byte, name, link string) entry {
	e := entry{kind: kind, name: name, link: link, mode: 0o644, mtime: usualTime}
	switch kind {
	case tar.TypeDir:
		e.mode = 0o755
	case tar.TypeSymlink:
		e.mode = 0o777
	}
	return e
}

func (e *entry) String() string {
	var b strings.Builder
	b.WriteString(kinds[e.kind] + " " + word(e.name))
	if e.kind == tar.TypeSymlink || e.kind == tar.TypeLink {
		b.WriteString(" -> " + word(e.link))
	}
	plain := usual(e.kind, e.name, e.link)
	if e.mode != plain.mode {
		fmt.Fprintf(&b, " mode=%#o", e.mode)
	}
	for _, n := range []struct {
		key   string
		value int64
	}{{"uid", e.uid}, {"gid", e.gid}, {"pad", e.pad}, {"major", e.major}, {"minor", e.minor}} {
		if n.value != 0 {
			fmt.Fprintf(&b, " %s=%d", n.key, n.value)
		}
	}
	if e.mtime != plain.mtime {
		fmt.Fprintf(&b, " mtime=%d", e.mtime)
	}
	if e.content != "" {
		b.WriteString(" content=" + word(e.content))
	}
	for _, key := range slices.Sorted(maps.Keys(e.xattrs)) {
		b.WriteString(" xattr." + key + "=" + word(e.xattrs[key]))
	}
	return b.String()
}

func (i *image) String() string {
	var b strings.Builder
	if i.held != 0 {
		fmt.Fprintf(&b, "held %d\n", i.held)
	}
	for _, l := range i.layers {
		fmt.Fprintf(&b, "layer %s", l.format)
		if l.ending != endWhole {
			b.WriteString(" " + l.ending)
		}
		b.WriteString("\n")
		for _, e := range l.entries {
			fmt.Fprintln(&b, &e)
		}
	}
	return b.String()
}

// word is a string as it stands in the text: quoted if it couldn't be read back
// otherwise.
func word(s string) string {
	if s == "" || s == "->" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '#' }) {
		return strconv.Quote(s)
	}
	return s
}

var errText = errors.New("not the text of an image")

// parseImage reads an image's text.
func parseImage(text string) (*image, error) {
	i := new(image)
	for line := range strings.Lines(text) {
		words, err := splitWords(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, line)
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := i.take(words); err != nil {
			return nil, fmt.Errorf("%w: %q", err, line)
		}
	}
	return i, nil
}

// take takes the words of one line.
func (i *image) take(words []string) (err error) {
	switch {
	case words[0] == "held" && len(words) == 2:
		i.held, err = strconv.Atoi(words[1])
		return err
	case words[0] == "layer" && len(words) > 1:
		l := layer{format: words[1], ending: endWhole}
		if len(words) > 2 {
			l.ending = words[2]
		}
		if formats[l.format] == nil || !slices.Contains(endings, l.ending) {
			return errText
		}
		i.layers = append(i.layers, l)
		return nil
	case len(i.layers) == 0:
		return errText
	}
	e, err := parseEntry(words)
	last := &i.layers[len(i.layers)-1]
	last.entries = append(last.entries, e)
	return err
}

func parseEntry(words []string) (entry, error) {
	for kind, name := range kinds {
		if name != words[0] || len(words) < 2 {
			continue
		}
		e, rest := usual(kind, words[1], ""), words[2:]
		if len(rest) > 1 && rest[0] == "->" {
			e.link, rest = rest[1], rest[2:]
		}
		for _, w := range rest {
			if err := e.set(w); err != nil {
				return e, err
			}
		}
		return e, nil
	}
	return entry{}, errText
}

// set takes one KEY=VALUE of an entry.
func (e *entry) set(w string) error {
	key, value, _ := strings.Cut(w, "=")
	if name, ok := strings.CutPrefix(key, "xattr."); ok {
		if e.xattrs == nil {
			e.xattrs = map[string]string{}
		}
		e.xattrs[name] = value
		return nil
	}
	if key == "content" {
		e.content = value
		return nil
	}
	numbers := map[string]*int64{
		"mode": &e.mode, "uid": &e.uid, "gid": &e.gid, "pad": &e.pad, "major": &e.major, "minor": &e.minor, "mtime": &e.mtime,
	}
	if numbers[key] == nil {
		return errText
	}
	n, err := strconv.ParseInt(value, 0, 64)
	*numbers[key] = n
	return err
}

// splitWords splits a line at its spaces. What begins with a quotation mark, a
// word or the part behind an equals sign, ends with one.
func splitWords(line string) ([]string, error) {
	var words []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		end := strings.IndexAny(line, ` "`)
		if end < 0 {
			end = len(line)
		}
		w := line[:end]
		line = line[end:]
		if strings.HasPrefix(line, `"`) {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errText, err)
			}
			s, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errText, err)
			}
			w, line = w+s, line[len(quoted):]
		}
		words = append(words, w)
	}
	return words, nil
}

// clone is a copy that shares nothing that is changed in one.
func (i *image) clone() *image {
	c := &image{held: i.held, layers: slices.Clone(i.layers)}
	for k := range c.layers {
		c.layers[k].entries = slices.Clone(c.layers[k].entries)
	}
	return c
}
