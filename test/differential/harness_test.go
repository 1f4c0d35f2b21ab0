package differential

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// never refuses no entry.
func never(*image) (layer, entry int, is bool) { return 0, 0, false }

// TestText reads images from their text.
func TestText(t *testing.T) {
	for seed := range uint64(300) {
		i := makeImage(seed, never)
		again, err := parseImage(i.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, i)
		}
		if got, want := again.String(), i.String(); got != want {
			t.Fatalf("read as\n%s\nnot\n%s", got, want)
		}
		for k := range i.layers {
			if !bytes.Equal(again.layers[k].tar(), i.layers[k].tar()) {
				t.Fatalf("another tar of layer %d of\n%s", k+1, i)
			}
		}
	}
	for _, text := range []string{"file a", "layer rar", "layer tar\nfile", "layer tar\nfile a size=1", `layer tar` + "\n" + `file "a`, "layer tar\nfile a mode=x"} {
		if _, err := parseImage(text); err == nil {
			t.Errorf("%q is an image", text)
		}
	}
}

// TestTar has the standard library read what is written.
func TestTar(t *testing.T) {
	for seed := range uint64(300) {
		i := makeImage(seed, never)
		for k := range i.layers {
			l := &i.layers[k]
			if slices.ContainsFunc(l.entries, func(e entry) bool { return e.kind == 0 || e.pad > 0 }) {
				continue
			}
			r := tar.NewReader(bytes.NewReader(l.tar()))
			for _, e := range l.entries {
				h, err := r.Next()
				if err != nil {
					t.Fatalf("%s: %v\n%s", &e, err, i)
				}
				if got := readEntry(t, h, r); e.kind != tar.TypeXGlobalHeader && got.String() != e.String() {
					t.Fatalf("%s, not %s", &got, &e)
				}
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("after the last entry: %v\n%s", err, i)
			}
		}
	}
}

func readEntry(t *testing.T, h *tar.Header, content io.Reader) entry {
	t.Helper()
	e := entry{kind: h.Typeflag, name: h.Name, link: h.Linkname, mode: h.Mode, uid: int64(h.Uid), gid: int64(h.Gid),
		mtime: h.ModTime.UnixNano(), major: h.Devmajor, minor: h.Devminor, xattrs: map[string]string{}}
	b, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	e.content = string(b)
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			e.xattrs[name] = value
		}
	}
	return e
}

// sample is an image with one of everything, and samples are others by what is
// seen of the change.
const sample = `layer tar
dir d/
file d/f content=one xattr.user.a=1
hardlink d/g -> d/f
symlink d/l -> f
char d/c major=1 minor=3
fifo d/p
layer gzip
file e content=two
file gone
file .wh.d
dir d/
file d/f content=one xattr.user.a=1
hardlink d/g -> d/f
symlink d/l -> f
char d/c major=1 minor=3
`

var samples = map[string]struct{ old, new string }{
	"content": {"\nfile e content=two", "\nfile e content=too"},
	"size":    {"\nfile e content=two", "\nfile e content=three"},
	"mode":    {"\nfile e", "\nfile e mode=0600"},
	"owner":   {"\nfile e", "\nfile e uid=1"},
	"mtime":   {"\nfile e", "\nfile e mtime=1000000000000000001"},
	"xattrs":  {"xattr.user.a=1\nhardlink d/g -> d/f\nsymlink d/l -> f\nchar d/c major=1 minor=3\n", "xattr.user.a=2\nhardlink d/g -> d/f\nsymlink d/l -> f\nchar d/c major=1 minor=3\n"},
	"target":  {"d/l -> f", "d/l -> g"},
	"device":  {"minor=3", "minor=4"},
	"same":    {"\nhardlink d/g -> d/f", "\nfile d/g content=one xattr.user.a=1"},
	"links":   {"\nhardlink d/g -> d/f", "\nhardlink d/g -> d/f\nhardlink h -> d/f"},
	"kind":    {"\nfile e content=two", "\ndir e/"},
	"missing": {"\nfile gone", ""},
	"surplus": {"\nfile gone", "\nfile gone\nfile more"},
}

// TestNotices shows an image that isn't quite the one that the oracles got.
func TestNotices(t *testing.T) {
	needsMount(t)
	l := needsLab(t)
	var wrong []*subject
	aspects := slices.Sorted(maps.Keys(samples))
	for _, aspect := range aspects {
		change := samples[aspect]
		s, changed := consult(t.TempDir(), aspect, mustParse(t, sample)), strings.ReplaceAll(sample, change.old, change.new)
		if !s.agreed || changed == sample {
			t.Fatalf("%s: no sample:\n%s", aspect, s.describe())
		}
		s.image = mustParse(t, changed)
		wrong = append(wrong, s)
	}
	right := consult(t.TempDir(), "nothing", mustParse(t, sample))
	for _, look := range []string{lookFirst, lookAgain, lookRestart} {
		if look == lookRestart {
			if err := l.restart(); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range append([]*subject{right}, wrong...) {
			if _, err := l.look(s, look); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range wrong {
			is := func(d difference) bool { return d.aspect == aspects[i] }
			if n := len(s.findings); n == 0 || s.findings[n-1].look != look || !slices.ContainsFunc(s.findings[n-1].differences, is) {
				t.Errorf("%s: another %s isn't noticed: %s", look, s.name, s.found())
			}
		}
	}
	if len(right.findings) > 0 {
		t.Errorf("of the same image:\n%s", right.found())
	}
}

// TestNoticesEarly has a layer come late that isn't the one that the oracles got.
func TestNoticesEarly(t *testing.T) {
	needsMount(t)
	l := needsLab(t)
	s := consult(t.TempDir(), "early", mustParse(t, sample))
	s.image = mustParse(t, "held 1\n"+strings.ReplaceAll(sample, "content=two", "content=too"))
	if _, err := l.look(s, lookFirst); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.found(), `"e" has content "too", not "two" (`+lookEarly+", "+lookFirst+")") {
		t.Errorf("another content isn't noticed:\n%s", s.found())
	}
}

// TestNoticesNoAnswer holds a layer for longer than patience lasts.
func TestNoticesNoAnswer(t *testing.T) {
	needsMount(t)
	l := needsLab(t)
	s := consult(t.TempDir(), "no answer", mustParse(t, sample))
	release := l.hold(digest.FromBytes(s.image.layers[0].blob().packed), 0)
	defer release()
	l.reader.patience = time.Second / 2
	if _, err := l.look(s, lookFirst); !errors.Is(err, errHangs) {
		t.Errorf("no answer gives %v", err)
	}
}

// TestNoticesDeath kills the daemon.
func TestNoticesDeath(t *testing.T) {
	needsMount(t)
	l := needsLab(t)
	s := consult(t.TempDir(), "death", mustParse(t, sample))
	if _, err := l.look(s, lookFirst); err != nil || len(s.findings) > 0 {
		t.Fatal(err, s.found())
	}
	if err := l.daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := l.unmount(); err == nil {
		t.Error("nobody notices that the daemon is dead")
	}
}

// TestNoticesNames holds lookups against listings: what is found by its name
// alone, and what is listed as another kind.
func TestNoticesNames(t *testing.T) {
	needsMount(t)
	s := consult(t.TempDir(), "names", mustParse(t, "layer tar\nfile a/b\nfile a/c\nfile a/.wh.d\nfile .wh.x\nsymlink l -> a\nlayer tar\nfile a/.wh.b\nfile l/e\n"))
	if want, got := []string{".wh.x", "a/.wh.b", "a/.wh.d", "a/b"}, s.absent(); !slices.Equal(got, want) {
		t.Errorf("names that aren't there are %q, not %q", got, want)
	}
}

// TestReadTree changes one thing after the other on disk.
func TestReadTree(t *testing.T) {
	needsMount(t)
	root := t.TempDir()
	if err := containerd(root, mustParse(t, sample).tars()); err != nil {
		t.Fatal(err)
	}
	before := readTree(root)
	if found := compare(before, readTree(root)); len(found) > 0 {
		t.Fatalf("read twice it differs: %v", found)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	for _, c := range []struct {
		aspect string
		change func() error
	}{
		{"mode", func() error { return os.Chmod(at("e"), 0o600) }},
		{"owner", func() error { return os.Lchown(at("d/l"), 0, 7) }},
		{"xattrs", func() error { return unix.Setxattr(at("d/f"), "user.b", nil, 0) }},
		{"mtime", func() error { return os.Chtimes(at("d"), time.Time{}, time.Unix(5, 1)) }},
		{"links", func() error { return os.Link(at("e"), at("d/e")) }},
		{"kind", func() error { return errors.Join(os.Remove(at("e")), os.Mkdir(at("e"), 0o755)) }},
		{"missing", func() error { return os.Remove(at("e")) }},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		after := readTree(root)
		found := compare(before, after)
		if !slices.ContainsFunc(found, func(d difference) bool { return d.aspect == c.aspect }) {
			t.Errorf("another %s isn't noticed: %v", c.aspect, found)
		}
		before = after
	}
}

// TestShrink takes an image apart until only what matters is left.
func TestShrink(t *testing.T) {
	matters := func(i *image) bool {
		text := i.String()
		return strings.Contains(text, "symlink") && strings.Contains(text, ".wh.")
	}
	shrunk := 0
	for seed := range uint64(200) {
		i := makeImage(seed, never)
		if !matters(i) {
			continue
		}
		shrunk++
		small := shrink(i, matters)
		if entries := len(small.layers[0].entries); len(small.layers) > 2 || entries > 2 || !matters(small) || len(small.String()) > 90 {
			t.Fatalf("this is left:\n%s", small)
		}
	}
	if shrunk == 0 {
		t.Error("nothing was shrunk")
	}
}

func mustParse(t *testing.T, text string) *image {
	t.Helper()
	i, err := parseImage(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// needsLab is a lab until the test ends.
func needsLab(t *testing.T) *lab {
	t.Helper()
	l, err := newLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil && !errors.Is(err, errHangs) {
			t.Error(err)
		}
	})
	return l
}
