package mount

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ModelPack's annotations of a layer.
const (
	modelPath     = "org.cncf.model.filepath"
	modelMetadata = "org.cncf.model.file.metadata+json"
)

// safetensors checks the form of a safetensors file (its documentation,
// "Format") and gives how many tensors it has.
func safetensors(t testing.TB, content string) int {
	t.Helper()
	if len(content) < 8 {
		t.Fatalf("a safetensors file of %d bytes", len(content))
	}
	header := binary.LittleEndian.Uint64([]byte(content[:8]))
	if header > uint64(len(content)-8) {
		t.Fatalf("its header has %d bytes, it itself %d", header, len(content))
	}
	var tensors map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal([]byte(content[8:8+header]), &tensors); err != nil {
		t.Fatal(err)
	}
	delete(tensors, "__metadata__")
	end := 0
	for tensor := range maps.Values(tensors) {
		end = max(end, tensor.Offsets[1])
	}
	if got := len(content) - 8 - int(header); end != got { //nolint:gosec // below the file's length
		t.Errorf("its data has %d bytes, and ends at %d", got, end)
	}
	return len(tensors)
}

// TestModelPack reads a model by the paths that its layers have.
func TestModelPack(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	d, manifest := fixtureManifest(t, f.addFixture(t, "model"), "latest")
	m := mountRegistry(t, f.host)
	files := manifestPath("model", d) + "/files"
	read := func() {
		t.Helper()
		lists(t, m.path(files), "weights/", "weights/model-00001-of-00001.safetensors", "config.json", "tokenizer.json",
			// Their archives have something else than their paths.
			"docs/", "docs/README.md", "docs/docs/", "docs/docs/LICENSE", "run.py/", "run.py/run.py")
		weights := m.cat(t, files, "weights/model-00001-of-00001.safetensors")
		if got := safetensors(t, weights); got != 4 {
			t.Errorf("the weights have %d tensors, not 4", got)
		}
		if got := digest.FromString(weights); got != manifest.Layers[0].Digest {
			t.Errorf("the weights have the digest %s, not %s", got, manifest.Layers[0].Digest)
		}
		for name, size := range map[string]int{"config.json": 75, "tokenizer.json": 18, "docs/README.md": 18, "docs/docs/LICENSE": 4, "run.py/run.py": 12} {
			if got := m.cat(t, files, name); len(got) != size {
				t.Errorf("%s holds %q, which isn't %d bytes", name, got, size)
			}
		}
	}
	output(t, "ls", "-l", m.path(files), m.path(files, "weights"))
	if n := f.Count("GET", "/blobs/"); n != 0 {
		t.Errorf("to list the model %d blobs were fetched", n)
	}
	m.hasXattrs(t, described(manifest.Layers[0]), files, "weights/model-00001-of-00001.safetensors")
	read()
	f.Reset()
	read()
	f.asksNothing(t, "the second time")
}

// TestModelPackArchives reads layers that are archives: one that holds a file
// is that file, any other a directory, and nothing in it is hidden.
func TestModelPackArchives(t *testing.T) {
	t.Parallel()
	const repo = "packed"
	f := serveFake(t)
	file := func(size int) string { return fmt.Sprintf(`{"name":"x","mode":420,"size":%d,"typeflag":48}`, size) }
	weights := noise(t, 1, 3*mib)
	add := func(kind, path, metadata string, items ...item) ocispec.Descriptor {
		content := tarOf(t, items...)
		switch {
		case strings.HasSuffix(kind, "gzip"):
			content = gzipped(t, content)
		case strings.HasSuffix(kind, "zstd"):
			content = zstdCompressed(t, content)
		}
		return f.addLayer(repo, "application/vnd.cncf.model.weight.v1."+kind, content, modelPath, path, modelMetadata, metadata)
	}
	layers := []ocispec.Descriptor{
		add("tar", "w/a.bin", file(len(weights)), regular("b.bin", "b\n"), regular("w/a.bin", weights)),
		add("tar+gzip", "w/b.bin", file(2), regular("b.bin", "b\n"), regular("a.bin", "a\n")),
		add("tar+zstd", "w/c.bin", file(5), directory("dir/"), regular("dir/other", "12345")),
		add("tar", "empty", file(0), regular("empty", "")),
		add("tar+gzip", "shorter", file(3), regular("shorter", "12")),
		add("tar+gzip", "longer", file(3), regular("longer", "1234")),
		add("tar", "missing", file(1), regular("a", "1"), regular("b", "1")),
		add("tar+gzip", "docs", `{"size":4096,"typeflag":53}`, directory("docs/"), regular("docs/a.md", "a\n"), regular("docs/img/b", "b\n")),
		add("tar", "more", "", regular("more/a.md", "more\n"), regular("a.md", "beside\n"), regular("z/c", "c\n")),
		add("tar", "odd", `{"size":-1,"typeflag":48}`, regular("odd/a", "a\n")),
		add("tar", "../out", "", regular("a", "a\n")),
	}
	described := make([]any, len(layers))
	for i, l := range layers {
		described[i] = l
	}
	artifact := f.addModel(t, repo, "application/vnd.cncf.model.config.v1+json", "{}", described...)
	m := mountRegistry(t, f.host)
	files := artifact + "/files"

	output(t, "ls", "-lL", m.path(files), m.path(files, "w"))
	for name, want := range map[string]string{
		"w/a.bin": "regular file 444 3145728 0", "w/b.bin": "regular file 444 2 0", "longer": "regular file 444 3 0",
		"missing": "regular file 444 1 0", "docs": "directory 555 0 0",
	} {
		if got := m.stat(t, "%F %a %s %Y", files, name); got != want {
			t.Errorf("%s is a %s, not a %s", name, got, want)
		}
	}
	if n := f.Count("GET", "/blobs/"); n != 0 {
		t.Errorf("to list the model %d blobs were fetched", n)
	}
	if got := m.cat(t, files, "more/a.md"); got != "beside\n" { // the first look into it
		t.Errorf("more/a.md holds %q", got)
	}
	lists(t, m.path(files), "w/", "w/a.bin", "w/b.bin", "w/c.bin", "empty", "shorter", "longer", "missing",
		"docs/", "docs/a.md", "docs/img/", "docs/img/b", "more/", "more/a.md", "more/more/", "more/more/a.md", "more/z/", "more/z/c", "odd/", "odd/a")
	for name, want := range map[string]string{
		"w/a.bin": weights, "w/b.bin": "b\n", "w/c.bin": "12345", "empty": "", "docs/a.md": "a\n", "docs/img/b": "b\n",
		"more/more/a.md": "more\n", "odd/a": "a\n",
	} {
		if got := m.cat(t, files, name); got != want {
			t.Errorf("%s holds %d bytes %q, not %q", name, len(got), clip(got), clip(want))
		}
	}
	for _, name := range []string{"shorter", "longer", "missing"} {
		fails(t, "Input/output error", "cat", m.path(files, name))
		m.logs(t, "open file of an archive", " "+name, "EIO")
	}
	m.logs(t, "odd", "without a size")
	m.logs(t, "../out")
	m.hasXattrs(t, map[string]string{"user." + modelPath: "w/a.bin", "user." + modelMetadata: file(len(weights))}, files, "w/a.bin")
}

// TestModelKit shows the layers of a ModelKit unpacked over each other, as `kit
// unpack` does it. Nothing of them is fetched before somebody looks into files/.
func TestModelKit(t *testing.T) {
	t.Parallel()
	const repo, kit = "kit", "application/vnd.kitops.modelkit."
	f := serveFake(t)
	layers := []ocispec.Descriptor{
		f.addLayer(repo, kit+"model.v1.tar", tarOf(t, directory("model/"), regular("model/weights.bin", noise(t, 1, mib)))),
		f.addLayer(repo, kit+"code.v1.tar+gzip", gzipped(t, tarOf(t, regular("model/config.json", "{}\n"), regular("train.py", "pass\n")))),
	}
	artifact := f.addModel(t, repo, kit+"config.v1+json", `{"manifestVersion":"1.0.0"}`, layers[0], layers[1])
	raw := f.addLayer("mixed", kit+"model.v1.raw", []byte("raw\n"), modelPath, "model.bin")
	mixed := f.addModel(t, "mixed", kit+"config.v1+json", "{}", layers[0], raw)
	m := mountRegistry(t, f.host)

	output(t, "ls", "-l", m.path(artifact)+"/", m.path(artifact, "layers"))
	output(t, "stat", m.path(artifact, "files"))
	if n := f.fetched(layers[0].Digest) + f.fetched(layers[1].Digest); n != 0 {
		t.Errorf("to list the kit %d bytes of its layers were fetched", n)
	}
	lists(t, m.path(artifact, "files"), "model/", "model/weights.bin", "model/config.json", "train.py")
	for name, want := range map[string]string{"model/weights.bin": noise(t, 1, mib), "model/config.json": "{}\n", "train.py": "pass\n"} {
		if got := m.cat(t, artifact, "files", name); got != want {
			t.Errorf("%s holds %d bytes %q", name, len(got), clip(got))
		}
	}
	lists(t, m.path(mixed, "files"), "model.bin")
	if got := m.cat(t, mixed, "files/model.bin"); got != "raw\n" {
		t.Errorf("the layer that is no archive holds %q", got)
	}
}

// gguf is content that begins as a GGUF file does.
func gguf(t testing.TB, seed uint64) string {
	t.Helper()
	return "GGUF\x03\x00\x00\x00" + noise(t, seed, 5*mib)
}

// TestDockerModel reads one of Docker's models by the names that its runner
// gives the layers.
func TestDockerModel(t *testing.T) {
	t.Parallel()
	const repo, ai = "ai/smollm", "application/vnd.docker.ai."
	f := serveFake(t)
	content := gguf(t, 1)
	artifact := f.addModel(t, repo, ai+"model.config.v0.1+json", `{"config":{"format":"gguf"}}`,
		f.addLayer(repo, ai+"gguf.v3", []byte(content)),
		f.addLayer(repo, ai+"license", []byte("free\n")),
		f.addLayer(repo, ai+"chat.template.jinja", []byte("{{ x }}\n")),
		f.addLayer(repo, ai+"model.file", []byte("readme\n"), modelPath, "README.md"),
		f.addLayer(repo, ai+"vllm.config.tar", tarOf(t, regular("config.json", "{}\n"))))
	m := mountRegistry(t, f.host)
	files := artifact + "/files"

	output(t, "ls", "-l", m.path(files))
	if n := f.Count("GET", "/blobs/"); n != 0 {
		t.Errorf("to list the model %d blobs were fetched", n)
	}
	lists(t, m.path(files), "model.gguf", "LICENSE", "template.jinja", "README.md", "vllm.config/", "vllm.config/config.json")
	for name, want := range map[string]string{
		"model.gguf": content, "LICENSE": "free\n", "template.jinja": "{{ x }}\n", "README.md": "readme\n", "vllm.config/config.json": "{}\n",
	} {
		if got := m.cat(t, files, name); got != want {
			t.Errorf("%s holds %d bytes %q", name, len(got), clip(got))
		}
	}
	if names := m.ls(t, artifact, "layers"); !strings.HasSuffix(names[0], ".gguf") {
		t.Errorf("layers/ holds %q", names)
	}
}

// TestOllama reads one of Ollama's models: its config says it is an image, its
// layers say what they are.
func TestOllama(t *testing.T) {
	t.Parallel()
	const repo, ollama = "library/tiny", "application/vnd.ollama.image."
	f := serveFake(t)
	content := gguf(t, 2)
	licences := []string{"free\n", "not so free\n"}
	digits := func(s string) string { return digest.FromString(s).Encoded()[:12] }
	tensor := asJSON(t, f.addLayer(repo, ollama+"tensor", []byte("one tensor\n")))
	artifact := f.addModel(t, repo, "application/vnd.docker.container.image.v1+json",
		`{"model_format":"gguf","rootfs":{"type":"layers","diff_ids":[]},"architecture":"amd64","os":"linux"}`,
		f.addLayer(repo, ollama+"model", []byte(content)),
		f.addLayer(repo, ollama+"template", []byte("{{ .Prompt }}\n")),
		f.addLayer(repo, ollama+"license", []byte(licences[0])),
		f.addLayer(repo, ollama+"license", []byte(licences[1])),
		f.addLayer(repo, ollama+"params", []byte(`{"stop":["x"]}`)),
		json.RawMessage(`{"name":"model.norm.weight",`+string(tensor[1:])))
	m := mountRegistry(t, f.host)
	files := artifact + "/files"

	want := map[string]string{
		"model.gguf": content, "template": "{{ .Prompt }}\n", "params.json": `{"stop":["x"]}`, "model.norm.weight.safetensors": "one tensor\n",
		"license-" + digits(licences[0]): licences[0], "license-" + digits(licences[1]): licences[1],
	}
	lists(t, m.path(files), slices.Collect(maps.Keys(want))...)
	if n := f.fetched(digest.FromString(content)); n != 0 {
		t.Errorf("to list the model %d bytes of it were fetched", n)
	}
	for name, want := range want {
		if got := m.cat(t, files, name); got != want {
			t.Errorf("%s holds %d bytes %q", name, len(got), clip(got))
		}
	}
	if names := m.ls(t, artifact); slices.Contains(names, "rootfs") {
		t.Errorf("a model has a root file system: %q", names)
	}
}
