package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// What applies layers reads tars with Go's archive/tar. Where a tar says a thing
// twice, or in a way that nobody wrote down, it is as that one reads it.

// mostContent is more than a file has in these tests, in bytes; a hole may be of
// any size.
const mostContent = 1 << 20

// goReads describes every entry of a tar as Go reads it. Global headers are
// entries to it, and to nobody else.
func goReads(data []byte) ([]string, error) {
	var list []string
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if h.Size > mostContent {
			return nil, errors.New("too large for a test")
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return list, err
		}
		if id(int64(h.Gid)) != uint32(h.Gid) {
			return nil, errors.New("an owner that Linux doesn't have")
		}
		types := map[byte]Type{tar.TypeReg: TypeRegular, tar.TypeDir: TypeDir, tar.TypeSymlink: TypeSymlink, tar.TypeLink: typeHardlink}
		if h.Typeflag != tar.TypeXGlobalHeader {
			list = append(list, described(types[h.Typeflag], h.Name, h.Linkname, uint32(h.Gid), content))
		}
	}
}

// weRead does the same with the scanner.
func weRead(t *testing.T, data []byte) ([]string, error) {
	t.Helper()
	var list []string
	in := &tarRanges{ctx: t.Context(), blob: &memoryBlob{data: data}, size: int64(len(data))}
	for scanner := (&tarScanner{in: in}); ; {
		e, err := scanner.next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if e.size > mostContent {
			return nil, errors.New("too large for a test")
		}
		content := make([]byte, e.size)
		for _, x := range e.extents {
			copy(content[x.offset:], data[x.stream:x.stream+x.length])
		}
		list = append(list, described(e.typ, e.name, e.link, e.gid, content))
	}
}

func described(typ Type, name, link string, gid uint32, content []byte) string {
	if typ != typeHardlink && typ != TypeSymlink {
		link = ""
	}
	return fmt.Sprintf("%o %q -> %q of %d: %q", typ, name, link, gid, content)
}

// sameAsGo fails the test unless a tar is read as Go reads it.
func sameAsGo(t *testing.T, name string, data []byte) {
	t.Helper()
	want, err := goReads(data)
	if err != nil {
		t.Fatalf("%s: Go: %v", name, err)
	}
	got, err := weRead(t, data)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: it is\n%s\nas Go reads it\n%s\nthe error is %v", name, strings.Join(got, "\n"), strings.Join(want, "\n"), err)
	}
}

// paxHeader is a header of type x or g.
func paxHeader(flag byte, records ...string) []byte {
	var body []byte
	for i := 0; i < len(records); i += 2 {
		rest := fmt.Sprintf(" %s=%s\n", records[i], records[i+1])
		n := len(rest) + 1
		for len(fmt.Sprint(n))+len(rest) != n {
			n = len(fmt.Sprint(n)) + len(rest)
		}
		body = fmt.Append(body, n, rest)
	}
	return append(header("pax", flag, len(body)), padded(body)...)
}

func longHeader(flag byte, name string) []byte {
	return append(header("././@LongLink", flag, len(name)+1), padded([]byte(name+"\x00"))...)
}

// regular is an entry with a content.
func regular(name string, flag byte, content string) []byte {
	return append(header(name, flag, len(content)), padded([]byte(content))...)
}

// changed is a header with other bytes at an offset.
func changed(h []byte, at int, with string) []byte {
	h = bytes.Clone(h)
	copy(h[at:], with)
	return checksummed(h)
}

const magicAt, prefixAt = 257, 345

func TestTarAsGoReadsIt(t *testing.T) {
	file, end := regular("name", '0', "content"), make([]byte, 2*tarBlock)
	link := changed(header("name", '2', 0), 157, "target")
	gnu := func(prefix string) []byte {
		return slices.Concat(changed(changed(file[:tarBlock], magicAt, magicGNU), prefixAt, prefix), file[tarBlock:])
	}
	long := "very/long/" + strings.Repeat("d", 90)
	star := changed(changed(file[:tarBlock], 508, "tar\x00"), prefixAt, strings.Repeat("p", 131)+"00000000000\x0000000000000\x00")
	for name, entry := range map[string][]byte{
		"a slash, with a type":              regular("x/", '0', "content"),
		"a slash, with a type and nothing":  regular("x/", '0', ""),
		"a slash, without a type":           regular("x/", 0, ""),
		"a slash by pax":                    slices.Concat(paxHeader('x', "path", "is/file/"), file),
		"a slash by pax, without a type":    slices.Concat(paxHeader('x', "path", "is/dir/"), regular("f", 0, "")),
		"no slash by pax, without a type":   slices.Concat(paxHeader('x', "path", "is/file"), regular("f/", 0, "content")),
		"a slash in a long name":            slices.Concat(longHeader('L', "long/"), file),
		"a directory with a size":           slices.Concat(changed(header("d/", '5', 0), 124, "00000000012"), file),
		"a link with a size":                slices.Concat(changed(header("l", '1', 0), 124, "00000000012"), file),
		"a link with a negative size":       slices.Concat(paxHeader('x', "size", "-5"), link, file),
		"two pax headers":                   slices.Concat(paxHeader('x', "path", "first", "linkpath", "wrong"), paxHeader('x', "gid", "6"), link),
		"two long names":                    slices.Concat(longHeader('L', "one"), longHeader('L', "two"), file),
		"two long targets":                  slices.Concat(longHeader('K', "one"), longHeader('K', "two"), link),
		"a long name, then pax":             slices.Concat(longHeader('L', "long"), paxHeader('x', "path", "pax"), file),
		"pax, then a long name":             slices.Concat(paxHeader('x', "path", "pax"), longHeader('L', "long"), file),
		"an empty long name":                slices.Concat(longHeader('L', "one"), longHeader('L', ""), file),
		"an empty path":                     slices.Concat(paxHeader('x', "path", ""), file),
		"a global header":                   slices.Concat(paxHeader('g', "path", "global", "gid", "7"), file),
		"pax, then a global header":         slices.Concat(paxHeader('x', "path", "pax"), paxHeader('g', "comment", "c"), file),
		"a long name, then a global header": slices.Concat(longHeader('L', "long"), paxHeader('g', "comment", "c"), file),
		"a size by pax":                     slices.Concat(paxHeader('x', "size", "7"), header("f", '0', 0), file[tarBlock:]),
		"a prefix":                          slices.Concat(changed(file[:tarBlock], prefixAt, long), file[tarBlock:]),
		"a prefix and times, star's":        slices.Concat(star, file[tarBlock:]),
		"GNU's magic and a prefix":          gnu(long),
		"GNU's magic and times":             gnu("00000000000\x0000000000001\x00"),
		"GNU's magic and a binary time":     gnu("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		"GNU's magic and no ASCII":          gnu("d\xc3\xa9j\xc3\xa0/vu"),
		"GNU's magic and an octal prefix":   gnu("01234567"),
		"GNU's magic, times of digits":      gnu("12345678/abc"),
	} {
		sameAsGo(t, name, slices.Concat(regular("before", '0', "b"), entry, regular("after", '0', "a"), end))
		if !strings.Contains(name, "size") {
			sameAsGo(t, name+", not padded", slices.Concat(regular("before", '0', "b"), entry, regular("after", '0', "a")[:tarBlock+1]))
		}
	}
}

// Headers of all kinds in any order.
func TestTarOfRandomHeadersAsGoReadsIt(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		name := func() string { return []string{"", "a", "b/", "c/d", "./e//"}[r.IntN(5)] }
		var data []byte
		for range 1 + r.IntN(12) {
			switch r.IntN(7) {
			case 0:
				data = append(data, paxHeader('x', "path", name(), "linkpath", name())...)
			case 1:
				data = append(data, paxHeader('x', "gid", fmt.Sprint(r.IntN(9)), "comment", name())...)
			case 2:
				data = append(data, paxHeader('g', "path", name())...)
			case 3:
				data = append(data, longHeader("LK"[r.IntN(2)], name())...)
			case 4:
				data = append(data, regular(name(), '0', strings.Repeat("content ", r.IntN(200)))...)
			case 5:
				data = append(data, regular(name(), "\x005"[r.IntN(2)], "")...)
			default:
				data = append(data, changed(header(name(), "12"[r.IntN(2)], 0), 157, "target")...)
			}
		}
		sameAsGo(t, fmt.Sprint("seed ", seed), append(data, regular("last", '0', "x")...))
	}
}

// FuzzTarAsGoReadsIt gives both the same tars. What isn't like Go's by intent is
// left out: types that nobody applies, owners that Linux doesn't have, and a tar
// that ends where an entry is announced.
func FuzzTarAsGoReadsIt(f *testing.F) {
	f.Add(pack(f, file{name: "a", content: "x"}, file{name: "d/"}, file{name: "l", link: "a"}, file{name: "h", hard: "a"}))
	for _, announced := range [][]byte{
		paxHeader('x', "path", "p/", "linkpath", "l", "size", "1"), paxHeader('g', "path", "p"), longHeader('L', "long/"), longHeader('K', "long"),
	} {
		f.Add(slices.Concat(announced, paxHeader('x', "gid", "6"), regular("r/", 0, "x")[:tarBlock+1]))
	}
	f.Add(changed(changed(header("x", '0', 0), magicAt, magicGNU), prefixAt, "pre/fix"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data)
		for block := range slices.Chunk(data, tarBlock) {
			if len(block) == tarBlock && string(block[magicAt:][:5]) == "ustar" {
				checksummed(block) // else hardly any header would be one
			}
		}
		want, err := goReads(data)
		if err != nil || slices.ContainsFunc(want, func(entry string) bool { return strings.HasPrefix(entry, "0 ") }) {
			return
		}
		got, err := weRead(t, data)
		if err != nil && strings.Contains(err.Error(), "where an entry is announced") {
			return
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("it is\n%s\nas Go reads it\n%s\nthe error is %v", strings.Join(got, "\n"), strings.Join(want, "\n"), err)
		}
	})
}
