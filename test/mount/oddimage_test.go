package mount

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestOddLayers shows images whose layers are unusual and right.
func TestOddLayers(t *testing.T) {
	t.Parallel()
	h := mountHostile(t)
	one := gzipLayer(t, tarOf(t, regular("one", "1\n")))
	none := gzipLayer(t, tarOf(t))
	removes := gzipLayer(t, tarOf(t, regular(".wh.one", "")))
	mediaType := func(l layer, mediaType string) layer {
		l.mediaType = mediaType
		return l
	}
	endless := tarOf(t, regular("one", "1\n"))
	endless = endless[:len(endless)-1024]
	padded := append(tarOf(t, regular("one", "1\n")), make([]byte, 20<<10)...)
	for name, c := range map[string]struct {
		layers []layer
		files  map[string]string
	}{
		"no layers":              {nil, nil},
		"an empty layer":         {[]layer{none}, nil},
		"one between empty ones": {[]layer{none, one, none, none}, map[string]string{"one": "1\n"}},
		"the same layer thrice":  {[]layer{one, removes, one, removes, one}, map[string]string{"one": "1\n"}},
		"removed at last":        {[]layer{one, one, removes}, nil},
		"nothing to remove":      {[]layer{removes, one}, map[string]string{"one": "1\n"}},
		"Docker's type":          {[]layer{mediaType(one, "application/vnd.docker.image.rootfs.diff.tar.gzip")}, map[string]string{"one": "1\n"}},
		"not distributable":      {[]layer{mediaType(one, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")}, map[string]string{"one": "1\n"}},
		"gzip called tar":        {[]layer{mediaType(one, ocispec.MediaTypeImageLayer)}, map[string]string{"one": "1\n"}},
		"zstd called gzip": {[]layer{mediaType(zstdLayer(t, tarOf(t, regular("one", "1\n"))), ocispec.MediaTypeImageLayerGzip)},
			map[string]string{"one": "1\n"}},
		"no end":             {[]layer{plainLayer(endless)}, map[string]string{"one": "1\n"}},
		"no end, gzip":       {[]layer{gzipLayer(t, endless)}, map[string]string{"one": "1\n"}},
		"more zeros, gzip":   {[]layer{gzipLayer(t, padded)}, map[string]string{"one": "1\n"}},
		"more zeros":         {[]layer{plainLayer(padded)}, map[string]string{"one": "1\n"}},
		"every format":       {everyFormat(t), map[string]string{"tar": "tar\n", "gzip": "gzip\n", "zstd": "zstd\n", "stargz": "stargz\n", "chunked": "chunked\n"}},
		"twice in one layer": {[]layer{gzipLayer(t, tarOf(t, regular("a", "first\n"), regular("a", "last\n"), regular("./a/../a", "the very last\n")))}, map[string]string{"a": "the very last\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			shows(t, h.rootOf(t, "odd/"+strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(strings.ToLower(name)), c.layers...), c.files)
		})
	}
}

// everyFormat is a layer of each.
func everyFormat(t testing.TB) []layer {
	t.Helper()
	return []layer{
		plainLayer(tarOf(t, regular("tar", "tar\n"))), gzipLayer(t, tarOf(t, regular("gzip", "gzip\n"))),
		zstdLayer(t, tarOf(t, regular("zstd", "zstd\n"))), stargzLayer(t, nil, regular("stargz", "stargz\n")),
		zstdChunkedLayer(t, false, nil, regular("chunked", "chunked\n")),
	}
}

// TestBrokenImages shows images that can't be shown as an error and a line in
// the log, or without what is broken; and their documents all the same.
func TestBrokenImages(t *testing.T) {
	t.Parallel()
	h := mountHostile(t, "--timeout", "5s")
	one := gzipLayer(t, tarOf(t, regular("one", "1\n")))
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("nowhere"), Size: 100}
	h.AddBlob("broken", one.blob)
	encrypted := one.descriptor()
	encrypted.MediaType = ocispec.MediaTypeImageLayerGzip + "+encrypted"
	text := h.AddBlob("broken", []byte("this is no archive\n"))
	text.MediaType = ocispec.MediaTypeImageLayerGzip
	empty := h.AddBlob("broken", nil)
	empty.MediaType = ocispec.MediaTypeImageLayerGzip
	ids := func(n int) []digest.Digest { return slices.Repeat([]digest.Digest{one.diffID}, n) }
	for name, i := range map[string]image{
		"missing layer":   imageOfDescriptors(t, []ocispec.Descriptor{one.descriptor(), missing}, ids(2)),
		"text":            imageOfDescriptors(t, []ocispec.Descriptor{text}, ids(1)),
		"empty blob":      imageOfDescriptors(t, []ocispec.Descriptor{empty, one.descriptor()}, ids(2)),
		"encrypted":       imageOfDescriptors(t, []ocispec.Descriptor{encrypted}, ids(1)),
		"fewer diff ids":  imageOfDescriptors(t, []ocispec.Descriptor{one.descriptor(), one.descriptor()}, ids(1)),
		"more diff ids":   imageOfDescriptors(t, []ocispec.Descriptor{one.descriptor()}, ids(3)),
		"no diff ids":     imageOfDescriptors(t, []ocispec.Descriptor{one.descriptor()}, nil),
		"diff ids, wrong": imageOfDescriptors(t, []ocispec.Descriptor{one.descriptor()}, []digest.Digest{"nonsense"}),
	} {
		t.Run(name, func(t *testing.T) {
			path := h.addImage("broken", "v1", i)
			r := try(t, "cat", h.path(path, "rootfs/one"))
			switch {
			case r.code == 0 && r.stdout != "1\n":
				t.Errorf("one holds %q", r.stdout)
			case r.code != 0 && slices.Contains(h.ls(t, path), "rootfs"):
				h.logs(t, strings.TrimPrefix(path, "broken/_manifests/sha256/"))
			}
			if got := digest.FromString(h.cat(t, path, "manifest.json")); got.Encoded() != strings.TrimPrefix(path, "broken/_manifests/sha256/") {
				t.Errorf("manifest.json has the digest %s", got)
			}
			h.ls(t, path, "layers")
		})
	}
	t.Run("config", func(t *testing.T) {
		for n, config := range []string{"no JSON", `{"rootfs":5}`, `[]`, ``} {
			blob := h.AddBlob("broken", []byte(config))
			blob.MediaType = ocispec.MediaTypeImageConfig
			manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: blob, Layers: []ocispec.Descriptor{one.descriptor()}}
			manifest.SchemaVersion = 2
			pushed := h.AddManifest("broken", fmt.Sprint("config", n), ocispec.MediaTypeImageManifest, asJSON(t, manifest))
			r := try(t, "cat", h.path(manifestPath("broken", pushed.Digest), "rootfs/one"))
			if r.code == 0 && r.stdout != "1\n" {
				t.Errorf("with the config %q one holds %q", config, r.stdout)
			}
			if r.code != 0 {
				h.logs(t, pushed.Digest.Encoded())
			}
		}
	})
}

// TestWhiteouts applies layers in the ways that implementations get wrong, for
// every format of the upper layer.
func TestWhiteouts(t *testing.T) {
	t.Parallel()
	h := mountHostile(t)
	withMode := func(i item, mode int64, uid int) item {
		i.Mode, i.Uid = mode, uid
		return i
	}
	lower := []item{
		withMode(directory("dir/"), 0o750, 7), regular("dir/a", "a\n"), regular("dir/b", "b\n"), directory("dir/sub/"), regular("dir/sub/c", "c\n"),
		regular("file", "file\n"), symlink("link", "dir"), regular("test", "test\n"), directory("root/"), regular("root/test", "root\n"),
		regular("target", "old\n"), regular("!a", "bang\n"),
	}
	for name, c := range map[string]struct {
		upper []item
		files map[string]string // that differ from the lower ones; "" is gone
	}{
		"whiteout before":   {[]item{regular(".wh.file", ""), regular("file", "new\n")}, map[string]string{"file": "new\n"}},
		"whiteout after":    {[]item{regular("file", "new\n"), regular(".wh.file", "")}, map[string]string{"file": ""}},
		"at the root only":  {[]item{regular(".wh.test", "")}, map[string]string{"test": ""}},
		"opaque at last":    {[]item{regular("dir/new", "new\n"), regular("dir/.wh..wh..opq", "")}, map[string]string{"dir/a": "", "dir/b": "", "dir/sub/c": "", "dir/new": "new\n"}},
		"opaque and more":   {[]item{regular("dir/.wh..wh..opq", ""), regular("dir/.wh.a", ""), regular("dir/b", "new\n")}, map[string]string{"dir/a": "", "dir/b": "new\n", "dir/sub/c": ""}},
		"made again":        {[]item{regular(".wh.dir", ""), regular("dir/sub/deep/d", "d\n")}, map[string]string{"dir/a": "", "dir/b": "", "dir/sub/c": "", "dir/sub/deep/d": "d\n"}},
		"file to directory": {[]item{regular("file/x", "x\n")}, map[string]string{"file": "", "file/x": "x\n"}},
		"directory to file": {[]item{regular("dir", "file now\n")}, map[string]string{"dir": "file now\n", "dir/a": "", "dir/b": "", "dir/sub/c": ""}},
		"replaced target":   {[]item{hardlink("kept", "target"), regular("target", "new\n")}, map[string]string{"kept": "old\n", "target": "new\n"}},
		"before a dot":      {[]item{regular(".wh.!a", ""), regular("!b", "b\n")}, map[string]string{"!a": "", "!b": "b\n"}},
		"all of the root":   {[]item{regular(".wh..wh..opq", ""), regular("only", "only\n")}, map[string]string{"dir/a": "", "dir/b": "", "dir/sub/c": "", "file": "", "test": "", "root/test": "", "target": "", "!a": "", "only": "only\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := make(map[string]string)
			for _, i := range lower {
				if i.Typeflag == tar.TypeReg {
					want[i.Name] = i.content
				}
			}
			for file, content := range c.files {
				want[file] = content
				if content == "" {
					delete(want, file)
				}
			}
			for format, upper := range layersOf(t, c.upper) {
				repo := strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(name + "/" + format)
				dir := h.rootOf(t, strings.ToLower(repo), gzipLayer(t, tarOf(t, lower...)), upper)
				got := listing(t, dir, "-type", "f", "-printf", `%P\0`)
				var names []string
				for file := range want {
					names = append(names, file)
				}
				if slices.Sort(names); !slices.Equal(got, names) {
					t.Errorf("%s: there are %q, not %q", format, got, names)
				}
				for _, file := range got {
					if content := output(t, "cat", dir+"/"+file); content != want[file] {
						t.Errorf("%s: %s holds %q, not %q", format, file, content, want[file])
					}
				}
			}
		})
	}
	// A directory that a layer has something in, but doesn't name, keeps its
	// attributes.
	for name, upper := range map[string][]item{
		"implied": {regular("dir/new", "new\n")},
		"opaque":  {regular("dir/.wh..wh..opq", "")},
	} {
		dir := h.rootOf(t, "attributes/"+name, gzipLayer(t, tarOf(t, lower...)), gzipLayer(t, tarOf(t, upper...)))
		if got, want := output(t, "stat", "-c", "%a %u %Y", dir+"/dir"), fmt.Sprintln("750 7", packedAt.Unix()); got != want {
			t.Errorf("%s: the directory is %s, not %s", name, got, want)
		}
	}
}
