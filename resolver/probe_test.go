package resolver

import (
	"fmt"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestProbe(t *testing.T) {
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
				if got, err := r.Probe(t.Context(), name); got != want || err != nil {
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
func TestProbeDoesNotWalkTheCatalog(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories(numbered(20_000)...)
	r := connect(t, fake, Options{})
	for name, want := range map[string]Kind{"group-5": KindNamespace, "group-55": KindNone, "group": KindNone} {
		fake.Reset()
		if got, err := r.Probe(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
		if n := fake.Count("", ""); n != 2 {
			t.Errorf("%s: %d requests, want 2", name, n)
		}
	}
	// One that ignores last is walked.
	fake.SetListing(fakeregistry.Listing{IgnoreLast: true, IgnoreN: true})
	if got, err := r.Probe(t.Context(), "group-9"); got != KindNamespace || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestProbeFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("group/app")
	remove := fake.Inject(fakeregistry.Fault{Path: "/tags/", Status: 500})
	r := connect(t, fake, Options{})
	_, err := r.Probe(t.Context(), "group")
	wantStatus(t, err, 500)
	remove()
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: 500})
	_, err = r.Probe(t.Context(), "group")
	wantStatus(t, err, 500)
}

// A listing that works ends the memory of one that was refused.
func TestProbeAfterCatalogCameBack(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("group/app")
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: 403, Times: 1})
	r := connect(t, fake, Options{})
	for i, want := range []Kind{KindUnknown, KindUnknown} {
		if got, err := r.Probe(t.Context(), "group"); got != want || err != nil {
			t.Errorf("%d: %s, %v; want %s", i, got, err, want)
		}
	}
	if _, _, err := repositories(t, r, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Probe(t.Context(), "group"); got != KindNamespace || err != nil {
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
