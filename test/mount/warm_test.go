package mount

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestWarm has a mount that was there before read what was fetched by another process,
// with the registry down.
func TestWarm(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	blob, original := f.addFile(t, "team/app", 1, 3*large+12345)
	m := mountRegistry(t, f.host)
	target := f.host + "/team/app:v1"
	m.ls(t, "team/app:v1/files")
	f.Reset()

	if got := m.warmed(t, 0, "--check", target); got.here(blob.Digest) != 0 || got.Size != blob.Size+2 || got.Here != 0 {
		t.Errorf("before anything was fetched: %+v", got)
	}
	if n := f.fetched(blob.Digest); n != 0 {
		t.Errorf("--check fetched %d bytes", n)
	}
	r := m.warm(t, target)
	if r.stdout != "" || strings.Count(r.stderr, "\n") != 2 || !strings.Contains(r.stderr, target+": layers/00-content.bin, 15.02MiB in ") {
		t.Errorf("it says\n%s%s", r.stdout, r.stderr)
	}
	if n := f.fetched(blob.Digest); n != blob.Size {
		t.Errorf("%d of %d bytes were fetched", n, blob.Size)
	}
	back := f.outOfReach()
	f.Reset()
	m.same(t, original, m.path(contentPath("team/app")))
	if n := f.Count("", "/blobs/"); n != 0 {
		t.Errorf("%d requests for what is here", n)
	}
	back()

	// It is here, and nothing is said or fetched.
	f.Reset()
	if r := m.warm(t, "--quiet", target); r.stdout != "" || r.stderr != "" {
		t.Errorf("--quiet: it says\n%s%s", r.stdout, r.stderr)
	}
	if got := m.warmed(t, 0, "--check", target); got.Here != got.Size {
		t.Errorf("when all is here: %+v", got)
	}
	if r := m.warm(t, "--check", target); !strings.Contains(r.stdout, "100% of ") || r.stderr != "" {
		t.Errorf("it says\n%s%s", r.stdout, r.stderr)
	}
	if n := f.Count("", "/blobs/"); n != 0 {
		t.Errorf("%d requests for what is here", n)
	}
}

// TestWarmChoices is what of an artifact is fetched.
func TestWarmChoices(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	const repo = "models/llm"
	file := func(seed uint64, title string) ocispec.Descriptor {
		return titled(f.AddGenerated(repo, seed, small), title)
	}
	weights, again := file(1, "weights/a.safetensors"), file(1, "weights/copy.safetensors")
	tokenizer, config := file(2, "tokenizer/vocab.json"), file(3, "config.json")
	odd := file(4, "a\x1b[2Jb")
	unpacked := f.addLayer(repo, "application/vnd.oci.image.layer.v1.tar+gzip", gzipped(t, tarOf(t, directory("data/"), regular("data/x", "x"))),
		ocispec.AnnotationTitle, "data", "io.deis.oras.content.unpack", "true")
	f.AddArtifact(repo, "v1", "application/vnd.example", nil, weights, again, tokenizer, config, odd, unpacked)
	all := []digest.Digest{weights.Digest, tokenizer.Digest, config.Digest, odd.Digest, unpacked.Digest}
	for _, c := range []struct {
		args []string
		want []digest.Digest
	}{
		{[]string{""}, all},
		{[]string{"/"}, all},
		{[]string{"/files"}, all},
		{[]string{"/layers/"}, all},
		{[]string{"/files/weights"}, all[:1]},
		{[]string{"/files//weights/./a.safetensors"}, all[:1]},
		{[]string{"/files/../layers/02-vocab.json"}, all[1:2]},
		{[]string{"/layers/03"}, all[2:3]},
		{[]string{"/files/data/x"}, all[4:]},
		{[]string{"", "--include", "*.json"}, all[1:3]},
		{[]string{"", "--include", "/*.json"}, all[2:3]},
		{[]string{"", "--include", "tokenizer/", "--include", "data/"}, all[1:2]},
		{[]string{"", "--exclude", "{weights,data}", "--exclude", "/[ac]*", "--include", "**"}, all[1:2]},
		{[]string{"", "--include", "data"}, all[4:]},
	} {
		m := prepare(t, f.host)
		f.Reset()
		args := slices.Clone(c.args)
		args[0] = f.host + "/" + repo + ":v1" + args[0]
		r := m.warm(t, args...)
		var got []digest.Digest
		for _, d := range all {
			if f.Count(http.MethodGet, "/blobs/"+d.String()) == 1 {
				got = append(got, d)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: fetched, and once, were %v, not %v\n%s", c.args, got, c.want, r.stderr)
		}
		if strings.Contains(r.stderr, "\x1b") {
			t.Errorf("%q: it prints %q", c.args, r.stderr)
		}
	}
	m := prepare(t, f.host)
	for _, args := range [][]string{
		{"/files/typo"}, {"/files/config.json/x"}, {"/layers/99"}, {"/rootfs"}, {"/manifest.json"}, {"/platforms/linux-amd64"}, {"", "--include", "*.jsn"},
	} {
		args[0] = f.host + "/" + repo + ":v1" + args[0]
		if got := m.warmed(t, 1, args...); len(got.Failed) != 1 || !strings.Contains(got.Failed[0].Reason, "nothing to fetch there") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// TestWarmPlatforms fetches what an index lists, and an index in it, with attestations
// and with a manifest that isn't there.
func TestWarmPlatforms(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	const repo = "app"
	index := func(tag string, list ...ocispec.Descriptor) ocispec.Descriptor {
		document := asJSON(t, map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": list})
		return f.AddManifest(repo, tag, ocispec.MediaTypeImageIndex, document)
	}
	var layers []layer
	var list []ocispec.Descriptor
	for i, arch := range []string{"amd64", "arm64", "riscv64"} {
		layers = append(layers, gzipLayer(t, tarOf(t, regular("etc/arch", arch), regular("etc/large", noise(t, uint64(i), small)))))
		made := imageOf(t, layers[i])
		f.addImage(repo, "", made)
		list = append(list, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(made.manifest), Size: int64(len(made.manifest)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: arch},
		})
	}
	statement := f.addLayer(repo, "application/vnd.in-toto+json", []byte(`{"_type":"statement"}`))
	attestation := f.AddArtifact(repo, "", "", nil, statement)
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	index("v1", list[0], attestation, index("", list[1], list[0]))
	gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}
	index("sparse", gone, list[2])

	fetched := func(args ...string) (got []int) {
		t.Helper()
		m := prepare(t, f.host)
		f.Reset()
		args[0] = f.host + "/" + repo + ":" + args[0]
		m.warm(t, args...)
		for i, l := range layers {
			if f.fetched(digest.FromBytes(l.blob)) > 0 {
				got = append(got, i)
			}
		}
		if f.fetched(statement.Digest) > 0 {
			got = append(got, -1)
		}
		return got
	}
	for _, c := range []struct {
		args []string
		want []int
	}{
		{[]string{"v1", "--platform", "linux/amd64"}, []int{0}},
		{[]string{"v1/platforms/linux-amd64/rootfs/etc", "--platform", "linux/s390x"}, []int{0}},
		{[]string{"v1", "--all-platforms"}, []int{0, 1, -1}},
		{[]string{"v1/platforms"}, []int{0, 1, -1}},
		{[]string{"v1/rootfs/etc/arch", "--all-platforms"}, []int{0, 1}},
		{[]string{"v1/platforms", "--include", "arch"}, []int{0, 1}},
	} {
		if got := fetched(slices.Clone(c.args)...); !slices.Equal(got, c.want) {
			t.Errorf("%q: fetched were %v, not %v", c.args, got, c.want)
		}
	}
	m := prepare(t, f.host)
	got := m.warmed(t, 1, "--all-platforms", f.host+"/"+repo+":sparse")
	if len(got.Failed) != 1 || got.here(digest.FromBytes(layers[2].blob)) != int64(len(layers[2].blob)) {
		t.Errorf("an index that lists what isn't there: %+v", got)
	}
	if got := m.warmed(t, 1, "--platform", "linux/s390x", f.host+"/"+repo+":v1"); len(got.Failed) != 1 || !strings.Contains(got.Failed[0].Reason, "linux/s390x") {
		t.Errorf("a platform that it hasn't: %+v", got)
	}
}

// TestWarmKilled kills it in the middle: what is here isn't fetched again.
func TestWarmKilled(t *testing.T) {
	t.Parallel()
	const size, held = 64 * mib, 40 * mib
	f := serveFake(t)
	blob, original := f.addFile(t, "app", 1, size)
	m := prepare(t, f.host)
	until := make(chan struct{})
	remove := f.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/blobs/" + blob.Digest.String(), Hang: true, InBlob: true, CutAt: held, Until: until})
	first := start(t, m.warmCommand("-q", f.host+"/app:v1"))
	check := []string{"--check", f.host + "/app:v1"}
	eventually(t, "all is on disk that came", func() bool {
		got := m.warmed(t, 0, check...)
		return got.here(blob.Digest) == held
	})
	if err := syscall.Kill(first.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.wait(t)
	close(until)
	remove()
	if got := m.warmed(t, 0, check...); got.here(blob.Digest) != held {
		t.Errorf("%d bytes are here after that, not %d", got.here(blob.Digest), int64(held))
	}
	f.Reset()
	m.warm(t, f.host+"/app:v1")
	if n := f.fetched(blob.Digest); n != size-held {
		t.Errorf("%d bytes were fetched then, not %d", n, int64(size-held))
	}
	m.mount(t)
	m.same(t, original, m.path(contentPath("app")))
}

// TestWarmInterrupted ends it by a signal: it says so, and keeps what came.
func TestWarmInterrupted(t *testing.T) {
	t.Parallel()
	const size, held = 32 * mib, 20 * mib
	f := serveFake(t)
	blob, _ := f.addFile(t, "app", 1, size)
	m := prepare(t, f.host)
	f.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/blobs/" + blob.Digest.String(), Hang: true, InBlob: true, CutAt: held})
	p := start(t, m.warmCommand("--quiet", f.host+"/app:v1"))
	eventually(t, "it is fetched", func() bool { return f.fetched(blob.Digest) == held })
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if state := p.wait(t); state.ExitCode() != 1 || p.stderr.String() != "orasfs: interrupted: what was fetched is kept, and isn't fetched again\n" {
		t.Errorf("%v\n%s%s", state, p.stdout.String(), p.stderr.String())
	}
	if got := m.warmed(t, 0, "--check", f.host+"/app:v1"); got.here(blob.Digest) == 0 {
		t.Errorf("nothing is here: %+v", got)
	}
}

// TestWarmTogether has two of them and a mount want one blob: each byte comes once.
func TestWarmTogether(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	dir := t.TempDir()
	const size = 48*mib + 1
	original := filepath.Join(dir, "cold.bin")
	blob := randomFile(t, original, size, 3)
	r.push(t, dir, "cold:v1", "cold.bin")
	front := startFront(t, r.host)
	m := mountRegistry(t, front.host)
	a, b := start(t, m.warmCommand(front.host+"/cold:v1")), start(t, m.warmCommand(front.host+"/cold:v1"))
	m.same(t, original, m.path("cold/_tags/v1/files/cold.bin"))
	for _, p := range []*process{a, b} {
		if state := p.wait(t); !state.Success() {
			t.Errorf("%s\n%s%s", state, p.stdout.String(), p.stderr.String())
		}
	}
	once(t, front.requests("/blobs/"+blob), size)
}

// TestWarmManyLayers is an artifact of more layers than can be fetched at once by far.
func TestWarmManyLayers(t *testing.T) {
	t.Parallel()
	const count = 2000
	f := serveFake(t)
	layers := make([]ocispec.Descriptor, count)
	for i := range layers {
		layers[i] = titled(f.AddBlob("many", fmt.Appendf(nil, "layer %d", i)), fmt.Sprint("file ", i))
	}
	f.AddArtifact("many", "v1", "application/vnd.example", nil, layers...)
	m := prepare(t, f.host)
	if got := m.warmed(t, 0, f.host+"/many:v1"); len(got.Parts) != count+1 || got.Here != got.Size {
		t.Errorf("%d parts, %d of %d bytes", len(got.Parts), got.Here, got.Size)
	}
	if most := f.MostAtOnce(); most > 8 {
		t.Errorf("%d requests at once", most)
	}
}
