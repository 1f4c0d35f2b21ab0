package archive

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// openImage opens the layers of a fixture.
func openImage(t *testing.T, name string) image {
	t.Helper()
	var layers []*Layer
	for _, s := range imageSources(t, name) {
		layers = append(layers, openLayer(t, s))
	}
	return applied(t, How{}, layers...)
}

func openLayer(t *testing.T, s *Source) *Layer {
	t.Helper()
	l, err := Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestBase compares what each format's reader makes of one image with what
// umoci unpacked of it.
func TestBase(t *testing.T) {
	spec := readMtree(t, os.DirFS("../../test/testdata"), "base.mtree")
	for _, name := range []string{
		"base-gzip", "base-pigz", "base-tar", "base-zstd", "base-zstd-frames", "base-esgz", "base-esgz-chunks",
		"base-zstdchunked-podman", "base-zstdchunked-stargz", "base-soci-v1", "base-soci-v2",
	} {
		t.Run(name, func(t *testing.T) {
			m := openImage(t, name)
			mustBe(t, m, spec, strings.Contains(name, "stargz") || strings.Contains(name, "esgz"))
		})
	}
}

// TestLayers applies layers as notes and specification have it: each case is
// one that has broken an implementation.
func TestLayers(t *testing.T) {
	dir := func(name string) file { return file{name: name + "/"} }
	reg := func(name, content string) file { return file{name: name, content: content} }
	for name, c := range map[string]struct {
		layers [][]file
		want   []string
	}{
		"a whiteout before what takes its place": {
			[][]file{{reg("x", "1")}, {reg(".wh.x", ""), reg("x", "2")}}, []string{"x=2"}},
		"a whiteout after what takes its place": {
			[][]file{{reg("x", "1")}, {reg("x", "2"), reg(".wh.x", "")}}, nil},
		"a whiteout": {
			[][]file{{reg("x", "1"), dir("d"), reg("d/y", "1")}, {reg(".wh.x", ""), reg(".wh.d", "")}}, nil},
		"an opaque marker last": {
			[][]file{{dir("d"), reg("d/a", "1"), dir("d/s"), reg("d/s/b", "1")}, {dir("d"), dir("d/s"), reg("d/s/c", "2"), reg("d/.wh..wh..opq", "")}},
			[]string{"d/", "d/s/", "d/s/c=2"}},
		"an opaque root": {
			[][]file{{reg("a", "1")}, {reg(".wh..wh..opq", ""), reg("b", "2")}}, []string{"b=2"}},
		"deleted and made again with nested ones": {
			[][]file{{dir("d"), dir("d/e"), reg("d/e/old", "1")}, {reg(".wh.d", "")}, {dir("d"), dir("d/e"), reg("d/e/new", "3")}},
			[]string{"d/", "d/e/", "d/e/new=3"}},
		"a whiteout at the root hides nothing below": {
			[][]file{{reg("test", "1"), dir("root"), reg("root/test", "1")}, {reg(".wh.test", "")}}, []string{"root/", "root/test=1"}},
		"an opaque directory over a link leaves its target": {
			[][]file{{dir("t"), reg("t/kept", "1"), {name: "l", link: "t"}}, {dir("l"), reg("l/.wh..wh..opq", ""), reg("l/new", "2")}},
			[]string{"l/", "l/new=2", "t/", "t/kept=1"}},
		"a whiteout in an opaque directory": {
			[][]file{{dir("d"), reg("d/a", "1")}, {dir("d"), reg("d/.wh..wh..opq", ""), reg("d/.wh.a", ""), reg("d/b", "2")}}, []string{"d/", "d/b=2"}},
		"a link in place of what is whited out": {
			[][]file{{reg("x", "1"), reg("y", "1")}, {reg(".wh.x", ""), {name: "x", link: "y"}}}, []string{"x -> y", "y=1"}},
		"a hard link keeps the old content": {
			[][]file{{reg("t", "1")}, {{name: "l", hard: "t"}}, {reg("t", "3")}}, []string{"l=1", "t=3"}},
		"a hard link to a lower layer": {
			[][]file{{reg("t", "1")}, {{name: "l", hard: "t"}}}, []string{"l=1 x2", "t=1 x2"}},
		"chained hard links": {
			[][]file{{reg("t", "1")}, {{name: "l", hard: "./t"}, {name: "m", hard: "/l"}}, {{name: "n", hard: "d/../m"}}},
			[]string{"l=1 x4", "m=1 x4", "n=1 x4", "t=1 x4"}},
		"a hard link whose first name goes": {
			[][]file{{reg("t", "1"), {name: "l", hard: "t"}, {name: "m", hard: "t"}}, {reg(".wh.t", "")}}, []string{"l=1 x2", "m=1 x2"}},
		"a hard link to a symbolic one": {
			[][]file{{{name: "s", link: "t"}}, {{name: "l", hard: "s"}}}, []string{"l -> t", "s -> t"}},
		"a hard link to nothing":         {[][]file{{{name: "l", hard: "gone"}}, {{name: "m", hard: "gone"}}}, nil},
		"a hard link to itself":          {[][]file{{{name: "l", hard: "l"}}}, nil},
		"a hard link to a directory":     {[][]file{{dir("d"), {name: "l", hard: "d"}}, {{name: "m", hard: "d"}}}, []string{"d/"}},
		"a hard link out of the archive": {[][]file{{reg("t", "1"), {name: "l", hard: "../../t"}}}, []string{"l=1 x2", "t=1 x2"}},
		"a file becomes a directory": {
			[][]file{{reg("x", "1")}, {dir("x"), reg("x/y", "2")}}, []string{"x/", "x/y=2"}},
		"a directory becomes a file": {
			[][]file{{dir("x"), reg("x/y", "1")}, {reg("x", "2")}}, []string{"x=2"}},
		"and a directory again": {
			[][]file{{dir("x"), reg("x/y", "1")}, {reg("x", "2")}, {dir("x"), reg("x/z", "3")}}, []string{"x/", "x/z=3"}},
		"children of what is a file": {
			[][]file{{reg("x", "1")}, {reg("x/y", "2")}}, []string{"x/", "x/y=2"}},
		"children of a file in one layer": {
			[][]file{{reg("x", "1"), reg("x/y", "2")}}, []string{"x/", "x/y=2"}},
		"parents that no entry names": {
			[][]file{{reg("a/b/c", "1")}, {reg("a/d", "2")}}, []string{"a/", "a/b/", "a/b/c=1", "a/d=2"}},
		"parents keep what a lower layer says of them": {
			[][]file{{{name: "a/", mode: 0o700}}, {reg("a/b", "2")}}, []string{"a/ 700", "a/b=2"}},
		"parents that are links below": {
			[][]file{{dir("usr"), dir("usr/lib"), reg("usr/lib/a", "1"), {name: "lib", link: "usr/lib"}}, {reg("lib/b", "2")}, {reg("lib/c/d", "3")}},
			[]string{"lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a=1", "usr/lib/b=2", "usr/lib/c/", "usr/lib/c/d=3"}},
		"parents that are links in the layer": {
			[][]file{{dir("usr"), {name: "lib", link: "/usr"}, reg("lib/b", "1")}}, []string{"lib -> /usr", "usr/", "usr/b=1"}},
		"parents that are links out of the root": {
			[][]file{{dir("a"), {name: "up", link: "../../.."}, reg("up/a/b", "1")}}, []string{"a/", "a/b=1", "up -> ../../.."}},
		"links in a circle": {
			[][]file{{{name: "a", link: "b"}, {name: "b", link: "a"}}, {reg("a/x", "2")}}, []string{"a -> b", "b -> a"}},
		"a directory over a directory": {
			[][]file{{{name: "d/", mode: 0o700}, reg("d/a", "1")}, {{name: "d/", mode: 0o711}}}, []string{"d/ 711", "d/a=1"}},
		"what is said twice": {
			[][]file{{reg("x", "1"), reg("x", "2"), dir("d"), reg("d/y", "1"), {name: "d/", mode: 0o700}, dir("z"), reg("z", "3")}},
			[]string{"d/ 700", "d/y=1", "x=2", "z=3"}},
		"an empty layer": {[][]file{{reg("a", "1")}, {}}, []string{"a=1"}},
		"markers of other tools": {
			[][]file{{reg(".wh..wh.plnk/1.2", ""), reg(".wh..wh.aufs", ""), reg("a", "1")}}, []string{".wh..wh.plnk/", ".wh..wh.plnk/1.2=", "a=1"}},
		"a link that is whited out isn't gone through": {
			[][]file{
				{dir("app"), dir("app/rel1"), reg("app/rel1/x", "old"), {name: "app/current", link: "rel1"}},
				{reg("app/.wh.current", ""), reg("app/current/x", "new")},
			},
			[]string{"app/", "app/current/", "app/current/x=new", "app/rel1/", "app/rel1/x=old"}},
		"a link to what a lower layer has": {
			[][]file{{dir("usr"), dir("usr/lib"), {name: "lib", link: "usr/lib"}, dir("opt")}, {{name: "lib", link: "opt"}, reg("lib/top", "t")}},
			[]string{"lib -> opt", "opt/", "opt/top=t", "usr/", "usr/lib/"}},
		"a way through a link that its end needs no entry for": {
			[][]file{{{name: "bin", link: "usr/bin"}, reg("bin/sh", "1")}}, []string{"bin -> usr/bin", "usr/", "usr/bin/", "usr/bin/sh=1"}},
		"what was written through a link stays when that is replaced": {
			[][]file{{dir("d"), {name: "l", link: "d"}, reg("l/x", "1"), dir("l"), reg("l/y", "2")}}, []string{"d/", "d/x=1", "l/", "l/y=2"}},
		"a whiteout below a file": {
			[][]file{{reg("app", "1")}, {reg("app/.wh.f", ""), reg("app/.wh..wh..opq", "")}}, []string{"app=1"}},
		"a whiteout makes its directory": {
			[][]file{{reg("a", "1")}, {reg("q/r/.wh.f", "")}}, []string{"a=1", "q/", "q/r/"}},
		"an opaque marker makes its directory": {
			[][]file{{reg("a", "1")}, {reg("q/r/.wh..wh..opq", "")}}, []string{"a=1", "q/", "q/r/"}},
		"an opaque marker makes no way through a file": {
			[][]file{{reg("a", "1")}, {reg("a/.wh..wh..opq", ""), reg("a/r/.wh..wh..opq", "")}}, []string{"a=1"}},
		"an opaque marker before and after what is there": {
			[][]file{{reg("a/.wh..wh..opq", ""), reg("a/b/c", "1"), reg("a/.wh..wh..opq", "")}}, []string{"a/", "a/b/", "a/b/c=1"}},
		"a whiteout through a link": {
			[][]file{{dir("d"), reg("d/x", "1"), reg("d/y", "1"), {name: "l", link: "d"}}, {reg("l/.wh.x", "")}}, []string{"d/", "d/y=1", "l -> d"}},
		"an opaque marker takes away what no entry of its layer names": {
			[][]file{{dir("d"), reg("d/a", "1")}, {reg("d/s/b", "2"), reg("d/c", "2"), reg("d/.wh..wh..opq", ""), reg("d/s/e", "3")}},
			[]string{"d/", "d/c=2", "d/s/", "d/s/e=3"}},
		"an opaque marker acts once for a path": {
			[][]file{{reg("a/"+opaque, ""), reg(opaque, ""), {name: "a/b/l", link: "t"}, reg("a/"+opaque, "")}},
			[]string{"a/", "a/b/", "a/b/l -> t"}},
		"an opaque marker leaves what came again without the entry that it had": {
			[][]file{{dir("a/b"), reg(opaque, ""), {name: "a/b/c/", mode: 0o700}, reg("a/d/e", "1"), reg("a/"+opaque, "")}},
			[]string{"a/", "a/b/", "a/b/c/ 700"}},
		"a hard link's entry describes the file": {
			[][]file{{reg("a", "1"), {name: "d/"}}, {{name: "d/", mode: 0o700}, {name: "b", hard: "a"}}}, []string{"a=1 x2", "b=1 x2", "d/ 700"}},
		"a hard link's target through links": {
			[][]file{{dir("d"), reg("d/x", "1"), {name: "l", link: "d"}}, {{name: "h", hard: "l/x"}}}, []string{"d/", "d/x=1 x2", "h=1 x2", "l -> d"}},
		"a hard link takes the place of its target's directory": {
			[][]file{{dir("d"), reg("d/x", "1")}, {{name: "d", hard: "d/x"}}}, nil},
		"a link whose target's way isn't there": {
			[][]file{{{name: "l", link: "gone/../d"}, reg("l/x", "1")}}, []string{"d/", "d/x=1", "l -> gone/../d"}},
	} {
		t.Run(name, func(t *testing.T) { mustShow(t, imageOf(t, c.layers...), c.want...) })
	}
}

// A layer's directories are given their times when all of it is applied, by their paths.
func TestTimes(t *testing.T) {
	at := func(sec int64, f file) file {
		f.mtime = time.Unix(sec, 0)
		return f
	}
	dir := func(sec int64, name string) file { return at(sec, file{name: name + "/"}) }
	reg := func(sec int64, name string) file { return at(sec, file{name: name, content: "1"}) }
	link := func(sec int64, name, target string) file { return at(sec, file{name: name, link: target}) }
	for name, c := range map[string]struct {
		layers [][]file
		want   map[string]int64
	}{
		"another layer's directory": {
			[][]file{{dir(1, "a")}, {reg(2, "a")}}, map[string]int64{"a": 2}},
		"a file in a directory's place": {
			[][]file{{dir(1, "a"), reg(2, "a")}}, map[string]int64{"a": 1}},
		"a hard link in its place": {
			[][]file{{reg(1, "a"), at(1, file{name: "b", hard: "a"})}, {dir(2, "a"), at(3, file{name: "a", hard: "b"})}},
			map[string]int64{"a": 2, "b": 2}},
		"a link to a file in its place": {
			[][]file{{reg(1, "f")}, {dir(2, "a"), link(3, "a", "f")}}, map[string]int64{"a": 3, "f": 2}},
		"a link to a directory in its place": {
			[][]file{{dir(1, "d")}, {dir(2, "a"), link(3, "a", "/d")}}, map[string]int64{"a": 3, "d": 2}},
		"a link to a directory in the place of one on the way": {
			[][]file{{dir(1, "d"), reg(1, "d/b")}, {dir(2, "a"), dir(3, "a/b"), link(4, "a", "d")}},
			map[string]int64{"a": 4, "d": 2, "d/b": 3}},
		"a file in the place of one on the way": {
			[][]file{{dir(1, "a"), dir(2, "a/b"), reg(3, "a")}}, map[string]int64{"a": 1}},
		"the last of two that are one in the end": {
			[][]file{{dir(1, "a"), dir(2, "b"), link(3, "a", "b")}}, map[string]int64{"a": 3, "b": 2}},
		"nothing in its place": {
			[][]file{{dir(1, "a"), reg(2, ".wh.a")}}, map[string]int64{"a": 1}},
		"a circle in its place": {
			[][]file{{dir(1, "a"), link(2, "a", "a")}}, map[string]int64{"a": 2}},
	} {
		m := imageOf(t, c.layers...)
		for at, want := range c.want {
			if n, ok := m.At(at); !ok || n.Attr().Sec != want {
				t.Errorf("%s: %s is there: %v, of time %d, want %d", name, at, ok, n.Attr().Sec, want)
			}
		}
	}
}

// A layer by itself shows what its archive holds, whiteouts included.
func TestTreeOfALayer(t *testing.T) {
	l := openLayer(t, source(pack(t,
		file{name: ".wh.x"}, file{name: "d/"}, file{name: "d/.wh..wh..opq"}, file{name: "a", content: "1"}, file{name: "b", hard: "a"}, file{name: "c", hard: "below"})))
	mustShow(t, applied(t, How{Raw: true}, l), ".wh.x=", "a=1 x2", "b=1 x2", "d/", "d/.wh..wh..opq=")
	mustShow(t, applied(t, How{}))
}

// What isn't the image's own is one file wherever its layer is.
func TestIdentity(t *testing.T) {
	base := openLayer(t, source(pack(t, file{name: "a", content: "1"}, file{name: "h", content: "2"}, file{name: "i", hard: "h"}, file{name: "t", content: "3"}, file{name: "d", content: "4"})))
	top := openLayer(t, source(pack(t, file{name: ".wh.h"}, file{name: "l", hard: "t"},
		file{name: "gone/"}, file{name: "gone", link: "d"}))) // so that d has the time of gone/
	one, two := applied(t, How{}, base), applied(t, How{}, base, top)
	for name, own := range map[string]bool{"a": false, "i": true, "t": true, "d": true} {
		first, _ := one.At(name)
		second, ok := two.At(name)
		if !ok || first.Own() || second.Own() != own {
			t.Errorf("%s: own %v in the first, %v in the second, want %v there", name, first.Own(), second.Own(), own)
		}
		firstLayer, firstNumber, _ := first.Entry()
		secondLayer, secondNumber, _ := second.Entry()
		if firstLayer != secondLayer || firstNumber != secondNumber {
			t.Errorf("%s is another file in another image", name)
		}
	}
	l, _ := two.At("l")
	t3, _ := two.At("t")
	if l.Number() != t3.Number() {
		t.Error("two names of a file aren't one")
	}
}

func TestEntriesGoOn(t *testing.T) {
	m := imageOf(t, []file{{name: "a"}, {name: "c"}, {name: "e"}}, []file{{name: "b"}, {name: "d"}, {name: ".wh.c"}})
	for after, want := range map[string]string{"": "abde", "a": "bde", "b": "de", "c": "de", "e": ""} {
		var got strings.Builder
		for n := range m.Root().Entries(after) {
			got.WriteString(n.Name())
		}
		if got.String() != want {
			t.Errorf("after %q come %q, want %q", after, got.String(), want)
		}
	}
}

func TestFS(t *testing.T) {
	m := imageOf(t, []file{{name: "d/"}, {name: "d/a", content: "hello"}, {name: "l", link: "d/a"}, {name: "e", content: strings.Repeat("x", 5000)}})
	if err := fstest.TestFS(m.FS(), "d/a", "l", "e"); err != nil {
		t.Error(err)
	}
}
