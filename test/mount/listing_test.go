package mount

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
	"github.com/orasfs/orasfs/test/soak"
)

// TestLongLists lists 5,000 repositories and 12,000 tags, 20,000 and 50,000 in full:
// all of them, by a request a page and none an entry, in a bounded piece of memory.
func TestLongLists(t *testing.T) {
	t.Parallel()
	repositories, tags := soak.Size(5_000, 20_000), soak.Size(12_000, 50_000)
	f := serveFake(t)
	var names, tagNames []string
	for i := range repositories {
		names = append(names, fmt.Sprintf("repo-%05d", i))
	}
	for i := range tags {
		tagNames = append(tagNames, fmt.Sprintf("v%05d", i))
	}
	f.AddRepositories(names...)
	pushed := f.AddArtifact("repo-00000", "", "application/vnd.example", nil)
	f.Tag("repo-00000", pushed.Digest, tagNames...)

	m := prepare(t, f.host)
	m.binary = orasfsLean
	m.mount(t)
	m.ls(t, "repo-00000") // what the first request takes isn't the list's
	before := m.peak(t)

	for _, c := range []struct {
		dir, path string
		want      []string
	}{
		{"", "/v2/_catalog", names},
		{"repo-00000/_tags", "/v2/repo-00000/tags/list", tagNames},
	} {
		t.Run(c.path, func(t *testing.T) {
			f.Reset()
			if got := m.ls(t, c.dir); !slices.Equal(got, c.want) {
				t.Errorf("%d names are listed, %d are there, or others", len(got), len(c.want))
			}
			asked := f.Matching(http.MethodGet, c.path)
			if len(asked) == 0 {
				t.Fatal("the registry wasn't asked")
			}
			n, err := strconv.Atoi(asked[0].Query.Get("n"))
			if err != nil {
				t.Fatal(err)
			}
			// A page that is exactly full needs one more to know.
			if pages := (len(c.want) + n - 1) / n; len(asked) > pages+1 {
				t.Errorf("%d requests for %d pages of %d", len(asked), pages, n)
			}
			if all := f.Requests(); len(all) != len(asked) {
				t.Errorf("%d requests besides those for the list, such as %s %s", len(all)-len(asked), all[0].Method, all[0].Path)
			}

			inChild(t, "seek", m.path(c.dir))

			// Several at once, and one that leaves early.
			var listers []*process
			for range 4 {
				listers = append(listers, start(t, taskCommand(t, "readdir", m.path(c.dir))))
			}
			output(t, "sh", "-c", `ls -U "$0" | head -n 5`, m.path(c.dir))
			for _, l := range listers {
				state := l.wait(t)
				if got := strings.Fields(l.stdout.String()); !state.Success() || !slices.Equal(got, c.want) {
					t.Errorf("one of four: %s, %d names\n%s", state, len(got), l.stderr.String())
				}
			}
		})
	}
	grown := m.peak(t) - before
	t.Logf("the lists took %d MiB of the daemon's memory", grown/mib)
	if grown > 128*mib {
		t.Errorf("that is more than a bounded number of names takes")
	}
}

// TestListings lists registries that answer as the specification doesn't want
// it.
func TestListings(t *testing.T) {
	t.Parallel()
	for name, listing := range map[string]fakeregistry.Listing{
		"as specified":       {},
		"ignores n":          {IgnoreN: true},
		"short pages":        {MaxPage: 2},
		"unsorted":           {Unsorted: true, IgnoreN: true},
		"no link":            {NoLink: true},
		"unquoted relation":  {MaxPage: 2, UnquotedRel: true},
		"absolute links":     {MaxPage: 2, AbsoluteLink: true},
		"null and not found": {NullTags: true, UnknownEmpty: true},
		"ignores last":       {IgnoreLast: true, IgnoreN: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			f.SetListing(listing)
			for _, repo := range []string{"a", "a-b", "a/b", "a/b/c", "a.c", "b/only/below", "empty"} {
				f.AddRepositories(repo)
				if repo != "empty" {
					pushed := f.AddArtifact(repo, "v1", "application/vnd.example", nil)
					f.Tag(repo, pushed.Digest, "v2", "v3", "latest", "x")
				}
			}
			m := mountRegistry(t, f.host)
			for dir, want := range map[string][]string{
				"":             {"a", "a-b", "a.c", "b", "empty"},
				"a":            {"_blobs", "_manifests", "_tags", "b"},
				"a/b":          {"_blobs", "_manifests", "_tags", "c"},
				"b":            {"only"},
				"b/only":       {"below"},
				"b/only/below": {"_blobs", "_manifests", "_tags"},
				"a/_tags":      {"latest", "v1", "v2", "v3", "x"},
				"empty/_tags":  nil,
			} {
				got := m.ls(t, dir)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("/%s lists %q, not %q", dir, got, want)
				}
			}
		})
	}
}
