package resolver

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func allTags(t *testing.T, r *Repository) (tags []string, pages int, err error) {
	t.Helper()
	err = r.Tags(t.Context(), func(page []string) error {
		tags = append(tags, page...)
		pages++
		return nil
	})
	return tags, pages, err
}

func TestTags(t *testing.T) {
	var want []string
	for i := range 2500 {
		want = append(want, fmt.Sprintf("v1.%05d", i))
	}
	for _, test := range []struct {
		listing fakeregistry.Listing
		pages   int
	}{
		{fakeregistry.Listing{}, 3},
		{fakeregistry.Listing{UnquotedRel: true}, 3},  // olareg
		{fakeregistry.Listing{AbsoluteLink: true}, 3}, // GitLab
		{fakeregistry.Listing{MaxPage: 100}, 25},
		{fakeregistry.Listing{MaxPage: 500, Twice: true}, 5},
		{fakeregistry.Listing{IgnoreN: true, Unsorted: true}, 1}, // distribution 2.8
	} {
		fake := fakeregistry.New()
		fake.Tag("app", sha256Digest, want...)
		fake.SetListing(test.listing)
		tags, pages, err := allTags(t, repo(t, fake, Options{}))
		slices.Sort(tags)
		if err != nil || !slices.Equal(tags, want) || pages != test.pages {
			t.Errorf("%+v: %d tags on %d pages, %v", test.listing, len(tags), pages, err)
		}
		if n := fake.Count("", ""); n != test.pages {
			t.Errorf("%+v: %d requests, want %d", test.listing, n, test.pages)
		}
	}
}

// A page that begins with what the last one ended with has that once.
func TestUnique(t *testing.T) {
	var u unique
	for _, test := range []struct{ page, want []string }{
		{[]string{"a", "b", "a"}, []string{"a", "b"}},
		{[]string{"b", "c"}, []string{"c"}},
		{nil, nil},
		{[]string{"c"}, []string{"c"}},
	} {
		if got := u.next(test.page); !slices.Equal(got, test.want) {
			t.Errorf("%q, not %q", got, test.want)
		}
	}
}

func TestTagsOfNoneAndUnknown(t *testing.T) {
	fake := fakeregistry.New()
	r := connect(t, fake, Options{})
	_, _, err := allTags(t, repoOf(t, r, "unknown"))
	wantIs(t, err, errdef.ErrNotFound)
	fake.AddRepositories("app")
	for _, null := range []bool{false, true} {
		fake.SetListing(fakeregistry.Listing{NullTags: null})
		if tags, _, err := allTags(t, repoOf(t, r, "app")); len(tags) != 0 || err != nil {
			t.Errorf("null %v: %q, %v", null, tags, err)
		}
	}
}

func TestTagsLeavesOutWhatIsNone(t *testing.T) {
	fake := fakeregistry.New()
	fake.Tag("app", sha256Digest, "v1", "..", "a/b", "", "x y", "_ok", "a\x00")
	if tags, _, err := allTags(t, repo(t, fake, Options{})); err != nil || !slices.Equal(tags, []string{"_ok", "v1"}) {
		t.Errorf("%q, %v", tags, err)
	}
}

func TestTagsFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.Tag("app", sha256Digest, "v1", "v2")
	r := repo(t, fake, Options{})
	stop := errors.New("stop")
	wantIs(t, r.Tags(t.Context(), func([]string) error { return stop }), stop)

	for _, body := range []string{"", "[]", "{", `{"tags":[1]}`, `{"tags":{}}`, "<html>"} {
		remove := fake.Inject(fakeregistry.Fault{Status: 200, Body: []byte(body)})
		if tags, _, err := allTags(t, r); err == nil {
			t.Errorf("%q: %q", body, tags)
		}
		remove()
	}

	fake.SetListing(fakeregistry.Listing{IgnoreLast: true, MaxPage: 1})
	if tags, _, err := allTags(t, r); err == nil || !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("pages that repeat: %q, %v", tags, err)
	}
}

func FuzzTagsAnswer(f *testing.F) {
	f.Add([]byte(`{"name":"app","tags":["v1"]}`), `</v2/app/tags/list?last=v1>; rel="next"`)
	f.Add([]byte(`{"tags":null}`), `</v2/app/tags/list?last=v1>;rel=next`)
	f.Add([]byte(`{"tags":["v1",null,"../x"]}`), `<http://example.com/x>; rel="next"`)
	f.Add([]byte(`{`), `<`)
	fake := fakeregistry.New()
	fake.Tag("app", sha256Digest, "v1")
	f.Fuzz(func(t *testing.T, body []byte, link string) {
		fake.Reset()
		remove := fake.Inject(fakeregistry.Fault{Path: "/tags/", Times: 3, Status: 200, Body: body, Header: map[string]string{"Link": link}})
		defer remove()
		tags, _, _ := allTags(t, repo(t, fake, Options{}))
		if i := slices.IndexFunc(tags, func(tag string) bool { return !ValidTag(tag) }); i >= 0 {
			t.Fatalf("tag %q", tags[i])
		}
	})
}
