package resolver

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestKind(t *testing.T) {
	catalogRefused := fakeregistry.Fault{Path: "_catalog", Status: 401}
	tests := []struct {
		name    string
		listing fakeregistry.Listing
		faults  []fakeregistry.Fault
		want    map[string]Kind
		catalog int // requests for it, for all of these
	}{
		{
			name: "catalog",
			want: map[string]Kind{
				"app": KindRepository, "app/sub": KindRepository, "group": KindNamespace, "group/deep": KindNamespace,
				"untagged": KindRepository, "nothing": KindNone, "ap": KindNone, "gro": KindNone, "zzz": KindNone,
				"group-a": KindNone, ".git": KindNone, "Thumbs.db": KindNone,
			},
			catalog: 8,
		}, {
			name:    "catalog that ignores last",
			listing: fakeregistry.Listing{IgnoreLast: true, IgnoreN: true, Unsorted: true},
			want:    map[string]Kind{"app": KindRepository, "group": KindNamespace, "nothing": KindNone},
			catalog: 2,
		}, {
			name:    "no catalog",
			faults:  []fakeregistry.Fault{catalogRefused},
			want:    map[string]Kind{"app": KindRepository, "group": KindUnknown, "nothing": KindUnknown, "untagged": KindRepository},
			catalog: 1,
		}, {
			name:    "Docker Hub",
			faults:  []fakeregistry.Fault{{Path: "nothing/tags", Status: 401}, {Path: "group/tags", Status: 403}, catalogRefused},
			want:    map[string]Kind{"app": KindRepository, "group": KindUnknown, "nothing": KindUnknown},
			catalog: 0,
		}, {
			name:    "olareg",
			listing: fakeregistry.Listing{UnknownEmpty: true},
			faults:  []fakeregistry.Fault{{Path: "_catalog", Status: 404}},
			want:    map[string]Kind{"app": KindRepository, "nothing": KindRepository, "group": KindRepository},
			catalog: 1,
		}, {
			name:    "empty tags for unknown names, and a catalog",
			listing: fakeregistry.Listing{UnknownEmpty: true},
			want:    map[string]Kind{"app": KindRepository, "group": KindNamespace},
			catalog: 1,
		}, {
			name:    "a namespace is no valid name",
			faults:  []fakeregistry.Fault{{Path: "group/tags", Status: 400}},
			want:    map[string]Kind{"group": KindNamespace},
			catalog: 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake := fakeregistry.New()
			fake.Tag("app", sha256Digest, "v1", "v2")
			fake.Tag("app/sub", sha256Digest, "v1")
			fake.Tag("group/deep/app", sha256Digest, "v1")
			fake.AddRepositories("untagged", "group-b/app", "group.c")
			fake.SetListing(test.listing)
			for _, fault := range test.faults {
				fake.Inject(fault)
			}
			r := connect(t, fake, Options{})
			for name, want := range test.want {
				if got, err := r.Kind(t.Context(), name); got != want || err != nil {
					t.Errorf("%s: %s, %v; want %s", name, got, err, want)
				}
			}
			if n := fake.Count("", "_catalog"); n != test.catalog {
				t.Errorf("the catalog was asked for %d times, want %d", n, test.catalog)
			}
		})
	}
}

// However long the catalog is, one page of it decides.
func TestKindDoesNotWalkTheCatalog(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories(numbered(20_000)...)
	r := connect(t, fake, Options{})
	for name, want := range map[string]Kind{"group-5": KindNamespace, "group-55": KindNone, "group": KindNone} {
		fake.Reset()
		if got, err := r.Kind(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
		if n := fake.Count("", ""); n != 2 {
			t.Errorf("%s: %d requests, want 2", name, n)
		}
	}
	// One that ignores last is walked.
	fake.SetListing(fakeregistry.Listing{IgnoreLast: true, IgnoreN: true})
	if got, err := r.Kind(t.Context(), "group-9"); got != KindNamespace || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	// And one that is in no order.
	fake.SetListing(fakeregistry.Listing{MaxPage: 1000, Backwards: true})
	if got, err := r.Kind(t.Context(), "group-0"); got != KindNamespace || err != nil {
		t.Errorf("in no order: %s, %v", got, err)
	}
}

func TestKindFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("group/app")
	remove := fake.Inject(fakeregistry.Fault{Path: "/tags/", Status: 500})
	r := connect(t, fake, Options{})
	got, err := r.Kind(t.Context(), "group")
	wantStatus(t, err, 500)
	if got != KindUnknown {
		t.Errorf("without a tag list it is a %s", got)
	}
	remove()
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: 500})
	if got, err := r.Kind(t.Context(), "group"); got != KindUnknown || err != nil {
		t.Errorf("without a catalog it is a %s (%v)", got, err)
	}
}

// The table in evidence.go, a row each: what is met, and what the two lists
// answer. However a list fails, what resolves is there, and a list that has failed
// isn't asked for by who wants to know something else.
func TestEvidence(t *testing.T) {
	html := fakeregistry.Fault{Status: 200, Body: []byte("<html><title>Sign in</title>")}
	answer := func(status int) fakeregistry.Fault { return fakeregistry.Fault{Status: status} }
	failures := map[string]fakeregistry.Fault{
		"204": answer(204), "400": answer(400), "401": answer(401), "403": answer(403), "404": answer(404), "405": answer(405),
		"410": answer(410), "429": answer(429), "500": answer(500), "501": answer(501), "503": answer(503), "HTML": html,
		"slow": {Stall: true},
	}
	for name, fault := range failures {
		for _, list := range []string{"_catalog", "/tags/list"} {
			t.Run(list+" "+name, func(t *testing.T) {
				t.Parallel()
				fake := fakeregistry.New()
				pushed := fake.AddArtifact("team/app", "v1", "application/vnd.example", nil)
				fault := fault
				fault.Path = list
				fake.Inject(fault)
				r := connect(t, fake, Options{})
				repo, err := r.Repository("team/app")
				if err != nil {
					t.Fatal(err)
				}
				for _, reference := range []string{"v1", pushed.Digest.String()} {
					if got, err := repo.Resolve(t.Context(), reference); err != nil || got.Digest != pushed.Digest {
						t.Errorf("%s: %v, %v", reference, got.Digest, err)
					}
				}
				if _, err := repo.Resolve(t.Context(), "none"); !errors.Is(err, errdef.ErrNotFound) {
					t.Errorf("a tag that isn't there: %v", err)
				}
				if n := fake.Count("", list); n != 0 {
					t.Errorf("the list was asked for %d times by who wants a tag", n)
				}
				if got, err := r.Kind(t.Context(), "team/app"); got != KindRepository || err != nil {
					t.Errorf("what has given something is a %s (%v)", got, err)
				}
				if got := r.Met(""); !slices.Equal(got, []string{"team"}) {
					t.Errorf("met: %q", got)
				}
				if got := r.Met("team"); !slices.Equal(got, []string{"app"}) {
					t.Errorf("met below team: %q", got)
				}
				if tags, known := repo.MetTags(); !known || !slices.Equal(tags, []string{"v1"}) {
					t.Errorf("met tags: %q, %t", tags, known)
				}
			})
		}
	}
}

// What a registry denies isn't met any more.
func TestMetIsDenied(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "application/vnd.example", nil)
	r := connect(t, fake, Options{})
	repo, err := r.Repository("app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	fake.Untag("app", "v1")
	r.denials.lasts = 0
	if _, err := repo.Resolve(t.Context(), "v1"); !errors.Is(err, errdef.ErrNotFound) {
		t.Fatal(err)
	}
	if tags, known := repo.MetTags(); len(tags) != 0 || !known {
		t.Errorf("%q, %t", tags, known)
	}
	fake.Inject(fakeregistry.Fault{Path: "/manifests/", Status: 404, Body: []byte(`{"errors":[{"code":"NAME_UNKNOWN"}]}`)})
	if _, err := repo.Manifest(t.Context(), sha256Digest); !errors.Is(err, errdef.ErrNotFound) {
		t.Fatal(err)
	}
	if _, known := repo.MetTags(); known {
		t.Error("a repository that the registry doesn't know is remembered")
	}
}

// A listing that works ends the memory of one that was refused.
func TestKindAfterCatalogCameBack(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("group/app")
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: 403, Times: 1})
	r := connect(t, fake, Options{})
	for i, want := range []Kind{KindUnknown, KindUnknown} {
		if got, err := r.Kind(t.Context(), "group"); got != want || err != nil {
			t.Errorf("%d: %s, %v; want %s", i, got, err, want)
		}
	}
	if _, _, err := repositories(t, r, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Kind(t.Context(), "group"); got != KindNamespace || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFollows(t *testing.T) {
	for _, test := range []struct {
		name, last string
		want       bool
	}{
		{"a/b", "a/", true},
		{"a-b", "a/", true}, // where '/' comes first
		{"b", "a/", true},
		{"a", "a/", false},
		{"Z", "a/", false},
	} {
		if got := follows(test.name, test.last); got != test.want {
			t.Errorf("%q after %q: %v", test.name, test.last, got)
		}
	}
}

func ExampleKind() {
	fmt.Println(KindNone, KindNamespace, KindRepository, KindUnknown)
	// Output: none namespace repository unknown
}
