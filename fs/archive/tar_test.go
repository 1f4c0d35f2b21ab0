package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// A file is one entry of a tar in a test. The type follows from its fields: a
// name with a slash at its end is a directory.
type file struct {
	name, content string
	link          string // a symbolic link's target
	hard          string // a hard link's
	mode          int64
	uid           int
	xattrs        map[string]string
	typ           byte // 0 is what the other fields say
	major         int64
	pax           map[string]string
	mtime         time.Time
	format        tar.Format
}

// pack makes a tar.
func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{
			Name: f.name, Mode: f.mode, Uid: f.uid, Size: int64(len(f.content)), Typeflag: tar.TypeReg,
			Devmajor: f.major, PAXRecords: map[string]string{}, ModTime: f.mtime, Format: f.format,
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		switch {
		case f.typ != 0:
			h.Typeflag = f.typ
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case f.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, f.hard
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
			if f.mode == 0 {
				h.Mode = 0o755
			}
		}
		for name, value := range f.xattrs {
			h.PAXRecords[paxXattr+name] = value
		}
		for name, value := range f.pax {
			h.PAXRecords[name] = value
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// source is a layer of those bytes.
func source(data []byte) *Source {
	s := memorySource(data, nil)
	s.Digest, s.Size = digest.FromBytes(data), int64(len(data))
	return s
}

// show describes every entry of an image: its path and what it is.
func show(m image) []string {
	var list []string
	var walk func(n Node)
	walk = func(n Node) {
		for child := range n.Entries("") {
			a := child.Attr()
			line := child.Path()
			switch a.Type {
			case TypeDir:
				line += "/"
				if a.Mode != 0o755 {
					line += fmt.Sprintf(" %o", a.Mode)
				}
			case TypeSymlink:
				line += " -> " + child.Target()
			case TypeRegular:
				content := make([]byte, min(a.Size, 1<<16)) // a hole may be of any size
				if _, err := m.readFile(child, content, 0); err != nil && !errors.Is(err, io.EOF) {
					content = []byte(err.Error())
				}
				line += "=" + string(content)
				if a.Links != 1 {
					line += fmt.Sprintf(" x%d", a.Links)
				}
			default:
				line += fmt.Sprintf(" %o %d:%d", a.Type, a.Major, a.Minor)
			}
			list = append(list, line)
			if a.Type == TypeDir {
				walk(child)
			}
		}
	}
	walk(m.Root())
	return list
}

// imageOf makes an image of layers, each alternately a tar and a gzipped one.
func imageOf(t *testing.T, layers ...[]file) image {
	t.Helper()
	var opened []*Layer
	for i, files := range layers {
		data := pack(t, files...)
		if i%2 == 1 {
			data = gzipped(t, data)
		}
		opened = append(opened, openLayer(t, source(data)))
	}
	return applied(t, How{}, opened...)
}

// applied is the tree of some layers, with them.
func applied(t testing.TB, how How, layers ...*Layer) image {
	t.Helper()
	tree, err := Apply(t.Context(), layers, how)
	if err != nil {
		t.Fatal(err)
	}
	return image{tree, t.Context(), layers}
}

func mustShow(t *testing.T, m image, want ...string) {
	t.Helper()
	got, expected := strings.Join(show(m), "\n"), strings.Join(want, "\n")
	if got != expected {
		t.Errorf("it shows\n%s\nand should show\n%s", got, expected)
	}
}

// What an archive says is a name, and what becomes of it.
func TestNames(t *testing.T) {
	long := strings.Repeat("n", 256)
	for name, want := range map[string][]string{
		"a":                              {"a=x"},
		"./a":                            {"a=x"},
		"/a":                             {"a=x"},
		"//a":                            {"a=x"},
		"../a":                           {"a=x"},
		"../../etc/passwd":               {"etc/", "etc/passwd=x"},
		"a/../../b":                      {"b=x"},
		"a/./b":                          {"a/", "a/b=x"},
		"a//b":                           {"a/", "a/b=x"},
		"..":                             nil,
		".":                              nil,
		"!a":                             {"!a=x"},
		"bad-\xff":                       {"bad-\xff=x"},
		"line\nbreak":                    {"line\nbreak=x"},
		"\\":                             {"\\=x"},
		long:                             nil,
		long[:255]:                       {long[:255] + "=x"},
		"deep/" + long:                   nil,
		strings.Repeat("d/", 1100) + "x": nil,
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			h := rawHeader(name, '0', 1)
			data := append(append(h, padded([]byte("x"))...), make([]byte, 1024)...)
			mustShow(t, applied(t, How{}, openLayer(t, source(data))), want...)
		})
	}
}

// rawHeader is a header that Go's writer wouldn't write, with a GNU long name.
func rawHeader(name string, flag byte, size int) []byte {
	long := header("././@LongLink", 'L', len(name)+1)
	return append(append(long, padded(append([]byte(name), 0))...), header("x", flag, size)...)
}

func header(name string, flag byte, size int) []byte {
	h := make([]byte, tarBlock)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	h[156] = flag
	copy(h[257:], "ustar\x0000")
	return checksummed(h)
}

func checksummed(h []byte) []byte {
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func padded(b []byte) []byte { return append(b, make([]byte, padding(int64(len(b))))...) }

func TestTypes(t *testing.T) {
	m := imageOf(t, []file{
		{name: "null", typ: tar.TypeChar, major: 5}, {name: "loop", typ: tar.TypeBlock, major: 7},
		{name: "fifo", typ: tar.TypeFifo}, {name: "link", link: "../../outside"}, {name: "empty"},
		{name: "setuid", content: "x", mode: 0o4755}, {name: "sticky/", mode: 0o1777}, {name: "cont", typ: tar.TypeCont, content: "c"},
	})
	mustShow(t, m, "cont=c", "empty=", "fifo 10000 0:0", "link -> ../../outside", "loop 60000 7:0", "null 20000 5:0", "setuid=x", "sticky/ 1777")
	n, _ := m.At("setuid")
	if n.Attr().Mode != 0o4755 {
		t.Errorf("mode %o", n.Attr().Mode)
	}
}

func TestAttributes(t *testing.T) {
	at := time.Date(1969, 7, 20, 20, 17, 40, 500_000_000, time.UTC)
	m := imageOf(t, []file{{
		name: "a", uid: 3_000_000, mtime: at, format: tar.FormatPAX,
		xattrs: map[string]string{"user.b": "\x00\xff", "user.a": "1", strings.Repeat("n", 256): "x"},
	}})
	n, _ := m.At("a")
	a := n.Attr()
	if a.UID != 3_000_000 || a.Sec != at.Unix() || a.Nsec != 500_000_000 {
		t.Errorf("%+v", a)
	}
	if got, want := fmt.Sprintf("%q", n.Xattrs()), `[{"user.a" "1"} {"user.b" "\x00\xff"}]`; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
}

// What breaks a tar's rules is an error, wherever it stands.
func TestBrokenTars(t *testing.T) {
	good := pack(t, file{name: "a", content: strings.Repeat("x", 700)}, file{name: "dir/"}, file{name: "b", content: "y", pax: map[string]string{"comment": "z"}})
	// Where an entry ends, and where the next one begins: in between its padding
	// may be missing, and all that would come then.
	ends := [][2]int{{0, 0}, {1212, 1536}, {2048, 2048}, {3585, 4096}, {4096 + tarBlock, 4096 + tarBlock}, {5120, 5120}}
	for cut := range len(good) {
		whole := slices.ContainsFunc(ends, func(end [2]int) bool { return end[0] <= cut && cut <= end[1] })
		_, err := open(t.Context(), source(good[:cut]))
		switch {
		case whole && err != nil:
			t.Errorf("cut to %d bytes, behind an entry: %v", cut, err)
		case !whole && !errors.Is(err, ErrFormat):
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
	broken := func(at int, with string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], with)
		return b
	}
	checked := func(at int, with string) []byte {
		b := broken(at, with)
		checksummed(b[:tarBlock])
		return b
	}
	for name, data := range map[string][]byte{
		"checksum":        broken(0, "b"),
		"size":            checked(124, "zzzzzzzzzzz"),
		"negative size":   checked(124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"huge size":       checked(124, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"beyond":          checked(124, "77777777777"),
		"zeros inside":    append(bytes.Clone(good[:1536]), append(make([]byte, 512), good[1536:]...)...),
		"pax length":      append(append(header("p", 'x', 10), padded([]byte("99999 a=b\n"))...), good...),
		"pax no equals":   append(append(header("p", 'x', 5), padded([]byte("5 ab\n"))...), good...),
		"pax size":        append(append(header("p", 'x', 11), padded([]byte("11 size=-1\n"))...), good...),
		"huge pax":        append(header("p", 'x', maxPAX+1), good...),
		"pax at the end":  append(header("p", 'x', 0), make([]byte, 1024)...),
		"neither":         []byte(strings.Repeat("this is no archive\n", 100)),
		"sparse overlaps": append(append(header("p", 'x', 62), padded([]byte("31 GNU.sparse.map=0,10,5,10,20\n"+"31 GNU.sparse.map=0,10,5,10,20\n"))...), good...),
	} {
		if _, err := open(t.Context(), source(data)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An error of the blob is no error of the archive.
func TestBlobErrorsAreKept(t *testing.T) {
	gone := errors.New("gone")
	for _, data := range [][]byte{pack(t, file{name: "a", content: strings.Repeat("x", 10_000)}), gzipped(t, pack(t, file{name: "a"}))} {
		s := source(data)
		s.Blob = blobFunc(func(context.Context, []byte, int64) (int, error) { return 0, gone })
		if _, err := Open(t.Context(), s); !errors.Is(err, gone) || errors.Is(err, ErrFormat) {
			t.Errorf("%v", err)
		}
	}
}

type blobFunc func(ctx context.Context, p []byte, off int64) (int, error)

func (f blobFunc) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f(ctx, p, off)
}

func FuzzTar(f *testing.F) {
	f.Add(pack(f, file{name: "a", content: "x"}, file{name: "d/"}, file{name: "l", link: "a"}, file{name: "h", hard: "a"}))
	f.Add(pack(f, file{name: "p", content: "x", xattrs: map[string]string{"user.a": "1"}, mtime: time.Unix(1, 5), format: tar.FormatPAX}))
	f.Add(append(rawHeader("../x", '0', 1), padded([]byte("x"))...))
	f.Add(append(append(header("p", 'x', 31), padded([]byte("31 GNU.sparse.map=0,10,5,10,20\n"))...), header("a", '0', 512)...))
	f.Add(header("s", 'S', 512))
	for _, announced := range [][]byte{
		paxHeader('x', "path", "p/", "linkpath", "l", "size", "1"), paxHeader('g', "path", "p"), longHeader('L', "long/"), longHeader('K', "long"),
	} {
		f.Add(slices.Concat(announced, paxHeader('x', "gid", "6"), regular("r/", 0, "x")[:tarBlock+1]))
	}
	f.Add(changed(changed(header("x", '0', 0), magicAt, magicGNU), prefixAt, "pre/fix"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := open(t.Context(), source(data))
		if err != nil {
			return
		}
		show(applied(t, How{Raw: true}, l))
		show(applied(t, How{}, l, l))
	})
}
