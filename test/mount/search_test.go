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

// TestSearch walks from the root of a fresh mount, as find and grep do: they end,
// find every tag, and don't go on into one. No content is asked for.
func TestSearch(t *testing.T) {
	for name, walk := range map[string][]string{
		"find":    {"find"},
		"grep":    {"grep", "-r", "hello"},
		"find -H": {"find", "-H"},
		"du":      {"du", "-a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveVaried(t)
			m := mountRegistry(t, f.host)
			f.Reset()
			r := try(t, walk[0], append(walk[1:], m.dir)...)
			if r.stderr != "" || (name == "grep") == (r.code == 0) {
				t.Errorf("%s: exit code %d\n%s", r.command, r.code, clip(r.stderr))
			}
			if name == "grep" && r.stdout != "" {
				t.Errorf("grep reads content:\n%s", clip(r.stdout))
			}
			for _, want := range []string{"multi/_tags/latest", "artifact/_tags/single", "artifact/below/_tags/v1", "team/models/tiny/_tags/v2"} {
				if name != "grep" && !strings.Contains(r.stdout, m.path(want)+"\n") {
					t.Errorf("%s isn't found:\n%s", want, clip(r.stdout))
				}
			}
			if found := f.Count(http.MethodGet, "/tags/list"); found == 0 {
				t.Error("no tags were listed: the test shows nothing")
			}
			for _, r := range f.Requests() {
				if strings.Contains(r.Path, "/blobs/") || strings.Contains(r.Path, "/referrers/") || r.Method == http.MethodGet && strings.Contains(r.Path, "/manifests/") {
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
	f := serveVaried(t)
	m := mountRegistry(t, f.host, "--platform", "linux/amd64")
	m.ls(t, "multi:latest", "platforms/linux-amd64/rootfs/")
	m.ls(t, "signed:v1/")
	referrers := m.referrerTree(t, "artifact:single")
	m.cat(t, contentPath("team/models/tiny"))

	var found []string
	for name := range strings.Lines(output(t, "find", m.dir, "-name", "manifest.json", "-printf", `%P\n`)) {
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
