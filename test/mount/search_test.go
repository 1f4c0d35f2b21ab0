package mount

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
)

// serveVaried serves what has links of every kind: tags, an index, referrers of
// referrers, a repository below another and one in nested namespaces.
func serveVaried(t testing.TB) *fake {
	t.Helper()
	f := serveFake(t)
	for _, fixture := range []string{"multi", "artifact", "signed"} {
		f.addFixture(t, fixture)
	}
	f.addFile(t, "artifact/below", 1, small)
	f.addFile(t, "team/models/tiny", 2, small)
	pushed := f.AddArtifact("team/models/tiny", "", "application/vnd.example", nil)
	f.Tag("team/models/tiny", pushed.Digest, "v2", "latest")
	return f
}

// TestSearch walks from the root of a fresh mount, as find, ls and grep do: they
// end, and no content is asked for, though some ask where each link leads.
func TestSearch(t *testing.T) {
	t.Parallel()
	for walk, ends := range map[string]int{
		`find "$0"`:      0,
		`find "$0" -ls`:  0,
		`ls -lR "$0"`:    0,
		`du -a "$0"`:     0,
		`grep -r . "$0"`: 1, // it finds nothing
	} {
		t.Run(walk, func(t *testing.T) {
			t.Parallel()
			f := serveVaried(t)
			m := mountRegistry(t, f.host)
			f.Reset()
			r := try(t, "sh", "-c", walk, m.dir)
			if r.code != ends || r.stderr != "" || ends == 1 && r.stdout != "" {
				t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, clip(r.stdout), clip(r.stderr))
			}
			for _, tag := range []string{"multi/_tags/latest", "artifact/_tags/single", "artifact/below/_tags/v1", "team/models/tiny/_tags/v2"} {
				if ends == 0 && !strings.Contains(r.stdout, path.Base(tag)) {
					t.Errorf("%s isn't found:\n%s", tag, clip(r.stdout))
				}
				if repo := path.Dir(path.Dir(tag)); f.Count(http.MethodGet, "/v2/"+repo+"/tags/list") == 0 {
					t.Errorf("nobody looked into %s: the test shows nothing", repo)
				}
			}
			for _, r := range f.Requests() {
				if r.Method == http.MethodGet && !strings.HasSuffix(r.Path, "/tags/list") && r.Path != "/v2/_catalog" {
					t.Errorf("the registry was asked: %s %s", r.Method, r.Path)
				}
			}
		})
	}
}

// TestSearchMet walks when somebody has looked into tags, whose manifests are
// listed then, with all that they link to. It ends all the same, and finds each
// manifest once.
func TestSearchMet(t *testing.T) {
	t.Parallel()
	f := serveVaried(t)
	m := mountRegistry(t, f.host, "--platform", "linux/amd64")
	m.ls(t, "multi:latest", "platforms/linux-amd64/rootfs/")
	m.ls(t, "signed:v1/")
	referrers := m.referrerTree(t, "artifact:single")
	m.cat(t, contentPath("team/models/tiny"))

	var found []string
	for name := range strings.Lines(output(t, "find", m.dir, "-name", "layout", "-prune", "-o", "-name", "manifest.json", "-printf", `%P\n`)) {
		found = append(found, path.Dir(strings.TrimSuffix(name, "\n")))
	}
	slices.Sort(found)
	if unique := slices.Compact(slices.Clone(found)); len(unique) != len(found) {
		t.Errorf("some manifests are found twice: %q", found)
	}
	for _, referrer := range referrers {
		if want := "artifact/_manifests/sha256/" + path.Base(referrer); !slices.Contains(found, want) {
			t.Errorf("%s isn't found: %q", want, found)
		}
	}
	for _, f := range found {
		if dir := path.Dir(f); path.Base(dir) != "sha256" {
			t.Errorf("a manifest is found in %s", f)
		}
	}
	r := try(t, "grep", "-rl", "hello", m.dir)
	if r.stderr != "" || !strings.Contains(r.stdout, "/files/hello.txt\n") {
		t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, clip(r.stdout), clip(r.stderr))
	}
}

// TestSearchEverything reads all there is, as grep does: what is pinned, what a
// layout on this disk has with what refers to it, and of a registry the charts and
// models that somebody has looked into.
func TestSearchEverything(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	for _, fixture := range []string{"multi", "artifact", "helm-chart", "model"} {
		f.addFixture(t, fixture)
	}
	pinned := func(target string, flags ...string) func(t *testing.T) *mount {
		return func(t *testing.T) *mount { return mountRegistry(t, f.host+target, flags...) }
	}
	met := func(repo, tag string) func(t *testing.T) *mount {
		return func(t *testing.T) *mount {
			m := mountRegistry(t, f.host+"/"+repo)
			m.ls(t, "_tags", tag, "files/")
			return m
		}
	}
	for name, c := range map[string]struct {
		mount       func(t *testing.T) *mount
		word, found string // and the end of the path of a file that has it
	}{
		"rootfs": {pinned("/multi:latest", "--platform", "linux/arm64"), "hello", "/mnt/hello.txt"},
		"files":  {pinned("/artifact:single"), "hello", "/mnt/hello.txt"},
		"layout": {pinned("/multi:latest", "--view", "layout"), "imageLayoutVersion", "/mnt/oci-layout"},
		"chart":  {met("helm-chart", "0.1.0"), "apiVersion", "/files/mychart/Chart.yaml"},
		"model":  {met("model", "latest"), "model", "/files/docs/README.md"},
		"signatures": {func(t *testing.T) *mount {
			m := mountLayout(t, unpackLayout(t, "signed"))
			m.referrerTree(t, "_tags/amd64")
			return m
		}, "application/vnd.cncf.notary.signature", "/manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.mount(t)
			for _, walk := range [][]string{{"find", m.dir}, {"grep", "-ra", ".", m.dir}, {"grep", "-rl", c.word, m.dir}} {
				r := try(t, walk[0], walk[1:]...)
				if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, c.found) {
					t.Errorf("%s: exit code %d, it has to find %s\n%s%s", r.command, r.code, c.found, clip(r.stdout), clip(r.stderr))
				}
			}
		})
	}
}
