package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// repositories lists all, and how many there were on each page.
func repositories(t *testing.T, r *Registry, last string) (names []string, pages []int, err error) {
	t.Helper()
	err = r.Repositories(t.Context(), last, func(page []string) error {
		names = append(names, page...)
		pages = append(pages, len(page))
		return nil
	})
	return names, pages, err
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("group-%d/app-%05d", i%10, i)
	}
	slices.Sort(names)
	return names
}

func TestRepositories(t *testing.T) {
	want := numbered(2500)
	for _, test := range []struct {
		listing fakeregistry.Listing
		pages   []int
	}{
		{fakeregistry.Listing{}, []int{1000, 1000, 500}},
		{fakeregistry.Listing{AbsoluteLink: true}, []int{1000, 1000, 500}},
		{fakeregistry.Listing{UnquotedRel: true}, []int{1000, 1000, 500}},
		{fakeregistry.Listing{MaxPage: 900}, []int{900, 900, 700}},
		{fakeregistry.Listing{IgnoreN: true}, []int{2500}},
	} {
		fake := fakeregistry.New()
		fake.AddRepositories(want...)
		fake.SetListing(test.listing)
		names, pages, err := repositories(t, connect(t, fake, Options{}), "")
		if err != nil || !slices.Equal(names, want) || !slices.Equal(pages, test.pages) {
			t.Errorf("%+v: %d names on pages of %d, %v", test.listing, len(names), pages, err)
		}
		if n := fake.Count("", "/v2/_catalog"); n != len(test.pages) {
			t.Errorf("%+v: %d requests, want %d", test.listing, n, len(test.pages))
		}
	}
}

func TestRepositoriesAfterLast(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("a", "b/c", "d")
	r := connect(t, fake, Options{})
	if names, _, err := repositories(t, r, "a"); err != nil || !slices.Equal(names, []string{"b/c", "d"}) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestRepositoriesLeavesOutWhatIsNone(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("a", "../etc", "A", "b", "", "a\x00b", "/abs")
	if names, _, err := repositories(t, connect(t, fake, Options{}), ""); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestRepositoriesRefused(t *testing.T) {
	for _, status := range []int{401, 403, 404, 405, 501} {
		fake := fakeregistry.New()
		fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: status})
		_, _, err := repositories(t, connect(t, fake, Options{}), "")
		wantIs(t, err, errdef.ErrUnsupported)
		wantStatus(t, err, status)
		if errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%d: error %v is ErrNotFound", status, err)
		}
	}
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	_, _, err := repositories(t, connect(t, fake, Options{}), "")
	wantIs(t, err, errdef.ErrUnsupported)
}

// A registry that takes no page of our size is asked for one of its own.
func TestRepositoriesInPagesOfTheRegistry(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories(numbered(250)...)
	fake.SetListing(fakeregistry.Listing{RefuseN: 100, MaxPage: 100})
	names, _, err := repositories(t, connect(t, fake, Options{}), "")
	if err != nil || len(names) != 250 {
		t.Errorf("%d names, %v", len(names), err)
	}
	if n := fake.Count("", "_catalog"); n != 4 {
		t.Errorf("%d requests, want one that is refused and three", n)
	}
	// Other refusals are final.
	for _, status := range []int{401, 403, 404, 405, 410, 501} {
		fake.Reset()
		remove := fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: status})
		_, _, err := repositories(t, connect(t, fake, Options{}), "")
		wantIs(t, err, errdef.ErrUnsupported)
		if n := fake.Count("", "_catalog"); n != 1 {
			t.Errorf("%d: %d requests, want 1", status, n)
		}
		remove()
	}
}

func TestRepositoriesFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories(numbered(1500)...)
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Times: 1})
	fake.Inject(fakeregistry.Fault{Path: "_catalog", Status: 403})
	names, _, err := repositories(t, connect(t, fake, Options{}), "")
	wantStatus(t, err, 403)
	if len(names) != 1000 || errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("%d names before a page was refused, %v", len(names), err)
	}

	stop := errors.New("stop")
	err = connect(t, fakeregistry.New(), Options{}).Repositories(t.Context(), "", func([]string) error { return stop })
	wantIs(t, err, stop)
}

// Lists that don't end, or lead elsewhere, do end, and stay here.
func TestRepositoriesWithHostileLinks(t *testing.T) {
	elsewhere := fakeregistry.New()
	for name, link := range map[string]string{
		"to itself":    `</v2/_catalog?n=1000>; rel="next"`,
		"to elsewhere": `<http://` + serve(t, elsewhere) + `/v2/_catalog>; rel="next"`,
		"unreadable":   `</v2/_catalog`,
	} {
		fake := fakeregistry.New()
		fake.RequireBasic("alice", "secret")
		fake.AddRepositories("a", "b")
		fake.Inject(fakeregistry.Fault{
			Path: "_catalog", Header: map[string]string{"Link": link},
		})
		names, _, err := repositories(t, connect(t, fake, Options{Username: "alice", Password: "secret"}), "")
		if err == nil || !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("%s: %q, %v", name, names, err)
		}
	}
	if n := elsewhere.Count("", ""); n != 0 {
		t.Errorf("%d requests to another host", n)
	}
}

func TestRepositoriesIsBounded(t *testing.T) {
	for name, body := range map[string][]byte{
		"bytes":  fmt.Appendf(nil, `{"repositories":["%s"]}`, bytes.Repeat([]byte("a"), maxPage)),
		"values": fmt.Appendf(nil, `{"repositories":[%s""]}`, bytes.Repeat([]byte(`"",`), maxElements+1)),
	} {
		fake := fakeregistry.New()
		fake.Inject(fakeregistry.Fault{Path: "_catalog", Body: body})
		_, _, err := repositories(t, connect(t, fake, Options{}), "")
		if !errors.Is(err, errdef.ErrSizeExceedsLimit) {
			t.Errorf("%s: error %v", name, err)
		}
		if n := fake.Count("", ""); n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
}

func TestPagesAreBounded(t *testing.T) {
	seen := newPages()
	for i := range maxPages {
		if err := seen.add([]string{fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	wantIs(t, seen.add(nil), errdef.ErrTooManyPages)
}
