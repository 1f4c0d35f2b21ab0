package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/soak"
)

// TestApplyAgainstPlain applies random layers and compares with the plain tree.
func TestApplyAgainstPlain(t *testing.T) {
	for seed := range soak.Size[uint64](400, 4000) {
		comparePlainly(t, rand.New(rand.NewPCG(seed, 9)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A tree comes back as it was kept.
func TestKeptTree(t *testing.T) {
	m := imageOf(t, []file{{name: "d/"}, {name: "d/a", content: "x"}, {name: "h", hard: "d/a"}}, []file{{name: "l", link: "d"}, {name: "d/.wh.b"}})
	raw, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadTree(raw)
	if err != nil {
		t.Fatal(err)
	}
	mustShow(t, image{again, t.Context(), m.layers}, "d/", "d/a=x x2", "h=x x2", "l -> d")
	if !slices.Equal(again.Layers(), []string{m.layers[0].Identity(), m.layers[1].Identity()}) {
		t.Errorf("its layers are %q", again.Layers())
	}
	for i := range raw {
		spoiled := slices.Clone(raw)
		spoiled[i] ^= 1
		if _, err := LoadTree(spoiled); err == nil {
			t.Fatalf("a wrong bit in byte %d isn't noticed", i)
		}
	}
}

// What a layer of which nothing is known could change isn't sure.
func TestSure(t *testing.T) {
	dir, reg := file{name: "usr/"}, file{name: "usr/b", content: "1"}
	for name, c := range map[string]struct {
		layers [][]file
		sure   bool
	}{
		"all directories have entries":       {[][]file{{dir, reg}}, true},
		"through a link that is there":       {[][]file{{dir, reg, {name: "l", link: "usr"}, {name: "l/c"}}}, true},
		"a directory without an entry":       {[][]file{{reg}}, false},
		"one in another layer":               {[][]file{{dir, reg}, {{name: "lib/b", content: "2"}}}, false},
		"a link to what isn't there":         {[][]file{{dir, reg}, {{name: "l", link: "lib"}, {name: "l/b"}}}, false},
		"a whiteout of what isn't there":     {[][]file{{dir, reg}, {{name: "lib/.wh.b"}}}, false},
		"a whiteout where all have entries":  {[][]file{{dir, reg}, {dir, {name: "usr/.wh.c"}}}, true},
		"a hard link to what isn't there":    {[][]file{{dir, reg}, {{name: "usr/h", hard: "etc/b"}}}, false},
		"a directory that gets one later on": {[][]file{{{name: "usr/c"}, dir, reg}}, false},
	} {
		var layers []*Layer
		for _, files := range c.layers {
			layers = append(layers, openLayer(t, source(pack(t, files...))))
		}
		if _, sure := applied(t, How{Below: true}, layers...).Sure("usr/b"); sure != c.sure {
			t.Errorf("%s: sure is %v", name, sure)
		}
		if _, sure := applied(t, How{}, layers...).Sure("usr/b"); !sure {
			t.Errorf("%s: not sure where nothing is below", name)
		}
	}
}

// Small layers that were made to take long take no longer than others, or are
// refused. Steps are counted, since seconds depend on the machine.
func TestHostileLayers(t *testing.T) {
	deep := strings.Repeat("d/", 200)
	for name, c := range map[string]struct {
		layers func() [][]file
		most   int64 // steps for each name in it
	}{
		"deep directories without entries": {func() [][]file {
			var files []file
			for i := range 100 {
				files = append(files, file{name: fmt.Sprintf("%s%d", deep, i)})
			}
			return [][]file{files, files}
		}, 10},
		"a file in each of many deep directories": {func() [][]file {
			var files []file
			for i := range 8 {
				files = append(files, file{name: strings.Repeat(fmt.Sprintf("%d/", i), 1000) + "x"})
			}
			return [][]file{files}
		}, 3000},
		"one way through many links": {func() [][]file {
			files := []file{{name: strings.Repeat("e/", 100)}}
			for i := range 30 {
				files = append(files, file{name: fmt.Sprintf("l%d", i), link: fmt.Sprintf("l%d", i+1)})
			}
			files = append(files, file{name: "l30", link: strings.Repeat("e/", 100)})
			for i := range 900 {
				files = append(files, file{name: fmt.Sprintf("l0/%d", i)})
			}
			return [][]file{files}
		}, 10},
		"one way through long targets": {func() [][]file {
			var files []file
			for i := range 40 {
				files = append(files, file{name: fmt.Sprintf("l%d", i), link: strings.Repeat("./", 2000) + fmt.Sprintf("l%d", i+1)})
			}
			files = append(files, file{name: "l40/"})
			for i := range 5000 {
				files = append(files, file{name: fmt.Sprintf("l0/%d", i)})
			}
			return [][]file{files}
		}, 100},
		"opaque markers over and over": {func() [][]file {
			var files []file
			for i := range 2000 {
				files = append(files, file{name: fmt.Sprintf("d/%d", i)})
			}
			for range 2000 {
				files = append(files, file{name: "d/" + opaque})
			}
			return [][]file{files}
		}, 10},
	} {
		var layers []*Layer
		for _, files := range c.layers() {
			layers = append(layers, openLayer(t, source(pack(t, files...))))
		}
		a := newApplier(t.Context(), layers, How{})
		steps, names := int64(0), int64(0)
		for k, l := range layers {
			if err := a.layer(k, l); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			steps, names = steps+a.steps, names+int64(a.x.entries.len())
		}
		if steps > c.most*names {
			t.Errorf("%s: %d steps for %d names", name, steps, names)
		}
	}
}

// What would take too long is refused, and what nobody waits for ends.
func TestApplyingEnds(t *testing.T) {
	var files []file
	for i := range 200 {
		files = append(files, file{name: fmt.Sprintf("l%d", i), link: strings.Repeat("./", 2000) + fmt.Sprintf("l%d", i+1)})
	}
	for i := range 100 { // the way is another one each time
		files = append(files, file{name: "l200/"}, file{name: fmt.Sprintf("l0/%d", i)}, file{name: "l200", link: "x"})
	}
	l := openLayer(t, source(pack(t, files...)))
	if _, err := Apply(t.Context(), []*Layer{l}, How{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("it gives %v, want ErrTooLarge", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Apply(ctx, []*Layer{l}, How{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it gives %v, want context.Canceled", err)
	}
}

// FuzzApply compares with the plain tree what the fuzzer's bytes choose.
func FuzzApply(f *testing.F) {
	for seed := range byte(8) {
		f.Add([]byte{seed, 1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, seed []byte) {
		var key [32]byte
		copy(key[:], seed)
		comparePlainly(t, rand.New(rand.NewChaCha8(key)))
	})
}

// FuzzTree gives the reader what a Store might give back, without its checksum.
func FuzzTree(f *testing.F) {
	l, err := open(f.Context(), source(pack(f, file{name: "d/"}, file{name: "d/a", content: "x"}, file{name: "h", hard: "d/a"}, file{name: "l", link: "d"})))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(applied(f, How{}, l).raw))
	f.Fuzz(func(t *testing.T, body []byte) {
		tree, err := parseTree(string(body))
		if err != nil || tree.layers.len() != 1 {
			return
		}
		show(image{tree, t.Context(), []*Layer{l}})
		for i := range tree.inodes.len() {
			n, _ := tree.Node(i)
			n.Path()
			n.Xattrs()
		}
	})
}

// Attributes that Linux doesn't have are left out, and a global header at the end is
// no entry that is missing.
func TestOddEnds(t *testing.T) {
	xattrs := map[string]string{"user.a": "1", "security.b": "2"}
	m := imageOf(t, []file{{name: "f", xattrs: xattrs}, {name: "l", link: "f", xattrs: xattrs}, {name: "p", typ: '6', xattrs: xattrs}})
	for name, want := range map[string]int{"f": 2, "l": 1, "p": 1} {
		if n, _ := m.At(name); len(n.Xattrs()) != want {
			t.Errorf("%s has %v", name, n.Xattrs())
		}
	}
	tarball := pack(t, file{name: "a", content: "1"})
	global := rawHeader("pax_global_header", 'g', 512)
	tarball = slices.Concat(tarball[:len(tarball)-1024], global[len(global)-tarBlock:], padded([]byte("12 comment=x\n"))[:512])
	mustShow(t, applied(t, How{}, openLayer(t, source(tarball))), "a=1")
}
