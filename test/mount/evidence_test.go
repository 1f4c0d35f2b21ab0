package mount

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestPartialCatalog is a pull-through cache, or a token for one repository: the
// catalog has a part of what can be pulled.
func TestPartialCatalog(t *testing.T) {
	t.Parallel()
	for name, hidden := range map[string][]string{
		"nothing listed":           {"team/app", "team/other", "library/debian"},
		"another repository":       {"team/app", "team/other"},
		"another of the namespace": {"team/app"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serveFake(t)
			desc, original := f.addFile(t, "team/app", 1, small)
			f.AddArtifact("team/other", "v1", "application/vnd.example", nil)
			f.AddArtifact("library/debian", "v1", "application/vnd.example", nil)
			f.SetListing(fakeregistry.Listing{Hidden: hidden})
			for _, target := range []struct{ target, below string }{
				{f.host, "team/app"}, {f.host + "/team", "app"}, {f.host + "/team/app", ""}, {"none", f.host + "/team/app"},
			} {
				m := mountRegistry(t, target.target)
				manifest := path.Base(m.readlink(t, target.below, "_tags/v1"))
				for _, file := range []string{
					m.path(target.below, "_tags/v1/files/content.bin"),
					m.path(target.below, "_manifests/sha256", manifest, "files/content.bin"),
					m.path(target.below, "_blobs/sha256", hexOf(desc.Digest.String())),
				} {
					m.same(t, original, file)
				}
				if target.below == "" {
					continue
				}
				m.same(t, original, m.path(target.below+":v1/files/content.bin"))
				// What was met is listed, whatever the catalog has.
				parent, child := cutLast(target.below)
				if got := m.ls(t, parent); !slices.Contains(got, child) || len(slices.Compact(slices.Clone(got))) != len(got) {
					t.Errorf("/%s lists %q, without what was met there or with something twice", parent, got)
				}
				if got, want := m.ls(t, target.below), []string{"_blobs", "_manifests", "_tags"}; !slices.Equal(got, want) {
					t.Errorf("/%s lists %q, not %q", target.below, got, want)
				}
			}
		})
	}
}

// TestPullThrough is a real pull-through cache that has pulled nothing yet.
func TestPullThrough(t *testing.T) {
	t.Parallel()
	for name, start := range distributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := startDistribution(t)
			files := folder(t, hello)
			pushed := upstream.push(t, files, "team/app:v1", "./artifact.txt")
			upstream.push(t, files, "other:v1", "./artifact.txt")
			proxy := start(t, "proxy:\n  remoteurl: http://"+upstream.host+"\n")
			m := mountRegistry(t, proxy.host)
			for _, file := range []string{
				"team/app:v1/files/artifact.txt", "team/app/_tags/v1/files/artifact.txt",
				"team/app@" + pushed + "/files/artifact.txt", "other:v1/files/artifact.txt",
			} {
				if got := m.cat(t, file); got != "hello world\n" {
					t.Errorf("%s holds %q", file, got)
				}
			}
			if got := m.ls(t); !slices.Equal(got, []string{"other", "team"}) {
				t.Errorf("the root lists %q, not what was met", got)
			}
			fails(t, notThere, "cat", m.path("team/none:v1"))
			for target, file := range map[string]string{"/team": "app/_tags/v1/files/artifact.txt", "/team/app": "_tags/v1/files/artifact.txt"} {
				below := mountRegistry(t, start(t, "proxy:\n  remoteurl: http://"+upstream.host+"\n").host+target)
				if got := below.cat(t, file); got != "hello world\n" {
					t.Errorf("a mount of %s: the file holds %q", target, got)
				}
			}
		})
	}
}

// TestShortCatalog is a real registry that refuses pages of the size that we ask
// for.
func TestShortCatalog(t *testing.T) {
	t.Parallel()
	for name, start := range distributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "catalog:\n  maxentries: 2\n")
			files := folder(t, hello)
			var want []string
			for i := range 5 {
				want = append(want, fmt.Sprintf("app%d", i))
				r.push(t, files, want[i]+":v1", "./artifact.txt")
			}
			m := mountRegistry(t, r.host)
			if got := m.ls(t); !slices.Equal(got, want) {
				t.Errorf("the root lists %q", got)
			}
			if got := m.cat(t, "app3:v1/files/artifact.txt"); got != "hello world\n" {
				t.Errorf("the file holds %q", got)
			}
		})
	}
}

// distributions start distribution with further sections of configuration.
var distributions = map[string]func(t testing.TB, more string) *registry{
	"distribution": func(t testing.TB, more string) *registry {
		port := freePort(t)
		return startDistributionOn(t, distribution, port, more).answers(t, http.DefaultClient, localhost(port), http.StatusOK)
	},
	"distribution 2.8": func(t testing.TB, more string) *registry {
		port := freePort(t)
		return startDistributionOn(t, tool(t, "docker-registry"), port, more).answers(t, http.DefaultClient, localhost(port), http.StatusOK)
	},
}

func cutLast(name string) (parent, child string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}

// TestListsThatFail reads where a list can't be had, in whatever way: nobody who
// names something asks for it, and what isn't there is said not to be there.
func TestListsThatFail(t *testing.T) {
	t.Parallel()
	login := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<html><title>Sign in</title></html>")
	}))
	faults := map[string]fakeregistry.Fault{
		"HTML":     {Body: []byte("<html>"), Header: map[string]string{"Content-Type": "text/html"}},
		"a login":  {Status: http.StatusFound, Header: map[string]string{"Location": "http://" + login + "/login"}},
		"too slow": {Stall: true},
	}
	for _, status := range []int{204, 400, 401, 403, 404, 405, 410, 429, 500, 501, 503} {
		faults[fmt.Sprint(status)] = fakeregistry.Fault{Status: status}
	}
	for name, fault := range faults {
		for _, list := range []string{"/_catalog", "/tags/list"} {
			t.Run(strings.Trim(list, "/_")+" "+name, func(t *testing.T) {
				t.Parallel()
				f := serveFake(t)
				_, original := f.addFile(t, "team/app", 1, small)
				fault.Path = list
				f.Inject(fault)
				m := mountRegistry(t, f.host, "--timeout", "5s")
				m.same(t, original, m.path("team/app:v1/files/content.bin"))
				m.same(t, original, m.path(contentPath("team/app")))
				for _, path := range []string{"team/app:none", "team/app/_tags/none", "team/none:v1", "none:v1"} {
					fails(t, notThere, "cat", m.path(path))
				}
				if n := f.Count("", list); n != 0 {
					t.Errorf("the list was asked for %d times by who didn't list", n)
				}
				for dir, want := range map[string][]string{
					"": {"team"}, "team": {"app"}, "team/app": {"_blobs", "_manifests", "_tags"}, "team/app/_tags": {"v1"},
				} {
					if got := m.ls(t, dir); !slices.Equal(got, want) {
						t.Errorf("/%s lists %q, not %q", dir, got, want)
					}
				}
			})
		}
	}
}

// TestCatalogRefusedIsTold has the log say why the root lists nothing but what was
// met.
func TestCatalogRefusedIsTold(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "team/app", 1, small)
	f.Inject(fakeregistry.Fault{Path: "_catalog", Status: http.StatusTooManyRequests})
	m := mountRegistry(t, f.host, "--timeout", "5s")
	if got := m.ls(t); len(got) != 0 {
		t.Errorf("the root lists %q", got)
	}
	m.logs(t, "WARN", "what was met is listed", f.host, "429")
}

// TestNothingThere looks at names that nobody knows: they can be named, since
// something below may be there, and neither read nor listed.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "team/app", 1, small)
	m := mountRegistry(t, f.host)
	f.Reset()
	for _, path := range []string{"none", "none/none", "team/none", "none/_tags", "team/_tags", "team/_manifests", "team/_blobs"} {
		fails(t, notThere, "ls", m.path(path))
	}
	for _, path := range []string{".git", "Thumbs.db", "none/.git", "UPPER"} {
		fails(t, notThere, "stat", m.path(path))
	}
	asked := f.Count("", "")
	for _, path := range []string{"none", "none/none", "none/_tags"} {
		output(t, "stat", m.path(path))
	}
	if n := f.Count("", "") - asked; n != 0 {
		t.Errorf("%d requests for names that nobody looked into", n)
	}
}

// TestNothingThereIsMounted mounts a name that nobody knows of: something may be
// below it, and the user is told.
func TestNothingThereIsMounted(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "team/app", 1, small)
	m := prepare(t, f.host+"/nowhere/at/all")
	r := finish(t, m.command())
	if r.code != 0 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "nowhere/at/all") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	fails(t, notThere, "ls", m.path())
}

// TestRequestsOfAPath counts what the way to the first byte of a pasted reference
// costs: the tag, the manifest, the content; then nothing for the tag.
func TestRequestsOfAPath(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "a/team/app", 1, small)
	m := mountRegistry(t, f.host)
	f.Reset()
	m.same(t, original, m.path("a/team/app:v1/files/content.bin"))
	var asked []string
	for _, r := range f.Requests() {
		asked = append(asked, r.Method+" "+r.Path)
	}
	if len(asked) != 3 || !strings.HasPrefix(asked[0], "HEAD /v2/a/team/app/manifests/v1") {
		t.Errorf("%d requests, want HEAD of the tag, the manifest and the content:\n%s", len(asked), strings.Join(asked, "\n"))
	}

	known := mountRegistry(t, f.host)
	known.readlink(t, "a/team/app/_tags/v1")
	f.Reset()
	known.same(t, original, known.path("a/team/app:v1/files/content.bin"))
	if n := f.Count("", ""); n != 2 {
		t.Errorf("%d requests once the tag is known, want 2", n)
	}
}

// TestTagsAreDirectories asks of every tag whether it is a directory, as coloured
// ls, a shell's completion and file managers do: a HEAD of each, and no manifest.
func TestTagsAreDirectories(t *testing.T) {
	t.Parallel()
	const tags = 200
	f := serveFake(t)
	for i := range tags {
		layer := f.AddGenerated("app", uint64(i), 100)
		f.AddArtifact("app", fmt.Sprintf("v1.%d", i), "application/vnd.example", nil, titled(layer, "content.bin"))
	}
	for _, command := range []string{
		`eval "$(dircolors -b)" && ls --color=always app/_tags`,
		"cd app/_tags && for t in */; do :; done",
		"find -L app/_tags -maxdepth 1 -type d",
	} {
		m := mountRegistry(t, f.host, "--tag-ttl", "1h")
		f.Reset()
		output(t, "sh", "-c", "cd "+m.path()+" && "+command)
		if heads, all := f.Count("HEAD", "/manifests/"), f.Count("", ""); heads != tags || all > tags+1 {
			t.Errorf("%s: %d requests, %d of them HEAD, want one for each of %d tags and their list", command, all, heads, tags)
			for _, r := range f.Matching("GET", "") {
				t.Log(r.Method, r.Path)
			}
		}
	}
}

// TestManifestsTime has a manifest's directory tell its time as soon as it was read.
func TestManifestsTime(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.AddArtifact("app", "v1", "application/vnd.example", map[string]string{"org.opencontainers.image.created": "2024-05-06T07:08:09Z"})
	m := mountRegistry(t, f.host)
	tag := m.path("app/_tags/v1")
	if got := output(t, "stat", "-L", "-c", "%F", tag); got != "directory\n" {
		t.Errorf("it is a %s", got)
	}
	if n := f.Count("GET", "/manifests/"); n != 0 {
		t.Errorf("%d manifests were read for that", n)
	}
	output(t, "ls", tag+"/")
	if got := output(t, "stat", "-L", "-c", "%Y", tag); got != "1714979289\n" {
		t.Errorf("its time is %s", got)
	}
}
