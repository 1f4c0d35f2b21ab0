package resolver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
)

// configOf is an image's config with those layers.
func configOf(layers ...string) string {
	ids := []string{}
	for _, layer := range layers {
		ids = append(ids, fmt.Sprintf("%q", digest.FromString(layer)))
	}
	return `{"os":"linux","rootfs":{"type":"layers","diff_ids":[` + strings.Join(ids, ",") + `]}}`
}

// gzipOf is content compressed.
func gzipOf(t testing.TB, content string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// imageOf is the manifest of an image of a layout.
func imageOf(t *testing.T, l *Layout, tag string) *Manifest {
	t.Helper()
	desc, err := l.Resolve(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	content, err := l.Manifest(t.Context(), desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(desc.Digest, content)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Two images that share a layer, as docker save wrote them before version 25,
// with links between their layers, and a third that has no tag.
func TestDockerArchive(t *testing.T) {
	base, top := "base layer", "top layer"
	packed := gzipOf(t, top)
	whole := tarred(t,
		regular("1/layer.tar"), base, regular("1/VERSION"), "1.0",
		linked(tar.TypeSymlink, "2/layer.tar", "../1/layer.tar"), "",
		linked(tar.TypeLink, "3/layer.tar", "1/layer.tar"), "",
		regular("4/layer.tar"), packed,
		regular("a.json"), configOf(base), regular("b.json"), configOf(base, top, base),
		regular("manifest.json"), `[
			{"Config":"a.json","RepoTags":["a:v1","registry:5000/a:v1.1"],"Layers":["1/layer.tar"],"Parent":"x"},
			{"Config":"b.json","RepoTags":["b:v2","b"],"Layers":["2/layer.tar","4/layer.tar","3/layer.tar"]},
			{"Config":"b.json","RepoTags":null,"Layers":["./2/layer.tar","x/../4/layer.tar","1/layer.tar"]}]`,
	)
	l := openLayout(t, written(t, whole))
	if tags := tagsOf(t, l); !slices.Equal(tags, []string{"v1", "v1.1", "v2"}) {
		t.Errorf("tags %q", tags)
	}
	v := visited(t, l, false)
	for content, size := range map[string]int{base: len(base), packed: len(packed), configOf(base): len(configOf(base))} {
		if v.blobs[digest.FromString(content)] != int64(size) {
			t.Errorf("blobs %v: %q isn't among them", v.blobs, content)
		}
	}
	m := imageOf(t, l, "v2")
	if m.MediaType != mediaTypeDockerManifest || m.Config.MediaType != mediaTypeDockerConfig || len(m.Layers) != 3 {
		t.Fatalf("%+v", m)
	}
	for i, want := range []string{mediaTypeDockerLayer, mediaTypeDockerLayer + ".gzip", mediaTypeDockerLayer} {
		if m.Layers[i].MediaType != want {
			t.Errorf("layer %d is %q, want %q", i, m.Layers[i].MediaType, want)
		}
	}
	again := openLayout(t, written(t, whole))
	if got := imageOf(t, again, "v2"); !bytes.Equal(got.Content, m.Content) {
		t.Errorf("%s\nand %s", got.Content, m.Content)
	}
	index, err := l.index(t.Context())
	if err != nil || len(index.manifests) != 5 || index.manifests[4].Digest != m.Digest {
		t.Errorf("%+v, %v: the third is the second, without a tag", index, err)
	}
}

// What a layer's digest is isn't known before it is read: one that isn't what
// the config says has other content than its digest says.
func TestDockerArchiveWrongLayer(t *testing.T) {
	l, err := openTarred(t, tarred(t, regular("manifest.json"), `[{"Config":"c","RepoTags":["x:v1"],"Layers":["l"]}]`,
		regular("c"), configOf("layer"), regular("l"), "LAYER"))
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("layer")
	if size, err := l.BlobSize(t.Context(), d); err != nil || size != 5 {
		t.Errorf("%d, %v", size, err)
	}
	if content, err := l.Manifest(t.Context(), d); err == nil || !strings.Contains(err.Error(), "match its digest") {
		t.Errorf("%q, %v", content, err)
	}
}

func TestDockerArchiveThatIsNone(t *testing.T) {
	image := func(config string, layers ...string) string {
		content, err := json.Marshal([]DockerImage{{config, []string{"x:v1"}, layers}})
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for name, test := range map[string]struct{ manifest, says string }{
		"no JSON":            {`[{`, "manifest.json"},
		"an object":          {`{}`, "manifest.json"},
		"no config":          {`[{}]`, `config ""`},
		"config missing":     {image("none"), `config "none"`},
		"config climbs":      {image("../c"), `config "../c"`},
		"config is no JSON":  {image("l"), `config "l"`},
		"too few layers":     {image("c"), "0 layers, and its config says 1"},
		"too many layers":    {image("c", "l", "l"), "2 layers"},
		"layer missing":      {image("c", "none"), `layer "none"`},
		"layer climbs":       {image("c", "../../l"), `layer "../../l"`},
		"layer climbs later": {image("c", "x/../../l"), `layer "x/../../l"`},
		"layer is a loop":    {image("c", "loop"), `layer "loop"`},
		"diff ID is none":    {image("d", "l"), `layer "l"`},
	} {
		_, err := openTarred(t, tarred(t, regular("manifest.json"), test.manifest, regular("c"), configOf("layer"), regular("l"), "layer",
			regular("../c"), configOf("layer"), regular("../../l"), "layer", regular("../l"), "layer",
			regular("d"), `{"rootfs":{"diff_ids":["../x"]}}`, linked(tar.TypeSymlink, "loop", "loop"), ""))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v; want one that says %q", name, err, test.says)
		}
	}
}

func TestDockerArchiveIsBounded(t *testing.T) {
	images := func(n int, image string) string { return "[" + strings.Repeat(image+",", n-1) + image + "]" }
	tags := strings.TrimSuffix(strings.Repeat(`"x:v1",`, maxDescriptors+1), ",")
	layers := strings.TrimSuffix(strings.Repeat(`"l",`, 1000), ",")
	for name, manifest := range map[string]string{
		"bytes":  images(1, `{"Config":"c","Layers":["l"]}`) + strings.Repeat(" ", MaxManifest),
		"values": `[` + strings.Repeat(`{},`, maxElements+1) + `{}]`,
		"images": images(maxDescriptors+1, `{"Config":"c","Layers":["l"]}`),
		"tags":   `[{"Config":"c","Layers":["l"],"RepoTags":[` + tags + `]}]`,
		"layers": images(maxArchivedLayers/1000+1, `{"Config":"many","Layers":[`+layers+`]}`),
		"index":  images(9000, `{"Config":"c","Layers":["l"],"RepoTags":["`+strings.Repeat("x", 300)+`:v1"]}`),
	} {
		_, err := openTarred(t, tarred(t, regular("manifest.json"), manifest, regular("c"), configOf("layer"), regular("l"), "layer",
			regular("many"), configOf(slices.Repeat([]string{"layer"}, 1000)...)))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantIs(t, err, errdef.ErrSizeExceedsLimit)
	}
	_, err := openTarred(t, tarred(t, regular("manifest.json"), `[{"Config":"c"}]`, regular("c"), strings.Repeat(" ", maxImageConfig+1)))
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
}

// A countedTar counts the bytes that are read at an offset.
type countedTar struct {
	memoryTar
	read int
}

func (c *countedTar) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.memoryTar.ReadAt(p, off)
	c.read += n
	return n, err
}

// Images share configs and layers: each is read once.
func TestDockerArchiveReadsOnce(t *testing.T) {
	packed, config := gzipOf(t, "layer")+strings.Repeat("x", 100_000), configOf("layer")+strings.Repeat(" ", 100_000)
	image := `{"Config":"c","Layers":["l"]}`
	content := tarred(t, regular("manifest.json"), "["+image+strings.Repeat(","+image, 20)+"]", regular("c"), config, regular("l"), packed)
	source := &countedTar{memoryTar: memoryTar{bytes.NewReader(content)}}
	if _, err := newLayoutTar(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if source.read > len(content) {
		t.Errorf("%d bytes of %d were read", source.read, len(content))
	}
}

func FuzzDockerArchive(f *testing.F) {
	const one = `[{"Config":"c","RepoTags":["x:v1"],"Layers":["l"]}]`
	f.Add([]byte(one), []byte(configOf("layer")), []byte("layer"))
	f.Add([]byte(`[{"Config":"c","RepoTags":["x:v1","y"],"Layers":["l","s","h"]},{"Config":"c","Layers":["../l"]}]`),
		[]byte(configOf("a", "b", "c")), []byte(gzipOf(f, "layer")))
	f.Add([]byte(one), []byte(`{"rootfs":{"diff_ids":["x"]}}`), []byte("\x28\xb5\x2f\xfd"))
	f.Add([]byte(`null`), []byte(`null`), []byte(nil))
	f.Fuzz(func(t *testing.T, manifest, config, layer []byte) {
		l, err := openTarred(t, tarred(t, regular("manifest.json"), string(manifest), regular("c"), string(config), regular("l"), string(layer),
			linked(tar.TypeSymlink, "s", "l"), "", linked(tar.TypeLink, "h", "l"), ""))
		if err != nil {
			return
		}
		walkLayout(t, l)
	})
}
