package resolver

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// The hosts that are remembered are bounded: those in use stay, and those that
// were told to be left alone do as long as there are others.
func TestHostsAreBounded(t *testing.T) {
	r := connect(t, fakeregistry.New(), Options{})
	enter := func(i int) (*host, error) {
		return r.hosts.enter(&url.URL{Scheme: "https", Host: fmt.Sprintf("10.0.0.1:%d", i+1)})
	}
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []*host
	for i := range maxHosts - 1 {
		h, err := enter(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	if _, err := enter(maxHosts); err == nil {
		t.Error("there is room for one more, though all are in use")
	}
	all[3].holds[everything] = hold{until: time.Now().Add(time.Hour)}
	r.hosts.leave(all[3])
	r.hosts.leave(all[5])
	for i, want := range []int{5, 3} {
		if _, err := enter(maxHosts + i); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.hosts.table["https://"+hostport(all[want].origin)]; ok {
			t.Errorf("host %d is remembered", want)
		}
	}
	if hostOf(repoOf(t, r, "app")) == nil {
		t.Error("the registry is forgotten")
	}
}

// A host that stalls holds up no other: neither the registry, nor a token
// service.
func TestHostsAreIndependent(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	stuck := fake.NewCDN()
	stuck.Inject(fakeregistry.Fault{Stall: true})
	fake.RedirectBlobs(stuck, "http://"+serve(t, stuck))
	r := repo(t, fake, Options{Concurrency: 1})
	for i := range 20 {
		desc := fake.AddBlob("app", fmt.Appendf(nil, "blob %d", i))
		go func() {
			body, _, err := r.Blob(desc).Fetch(t.Context(), 0, 6, nil)
			if err == nil {
				_ = body.Close()
			}
		}()
	}
	waitFor(fake, "/blobs/", 20)
	fake.RedirectBlobs(nil, "")
	desc := fake.AddBlob("app", alphabet)
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
}

// Blobs that stall don't hold up a tag, and both are bounded.
func TestPlaces(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Stall: true})
	until := make(chan struct{})
	fake.Inject(fakeregistry.Fault{Path: "/v2-", Stall: true, Until: until})
	r := repo(t, fake, Options{Concurrency: 2})
	for i := range 20 {
		desc := fake.AddBlob("app", fmt.Appendf(nil, "blob %d", i))
		go func() { _, _, _ = r.Blob(desc).Fetch(t.Context(), 0, 6, nil) }()
	}
	waitFor(fake, "/blobs/", 3)
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	if n := fake.Count("", "/blobs/"); n != 3 {
		t.Errorf("%d requests for blobs at once, want 3", n)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { _, _ = r.Resolve(t.Context(), fmt.Sprint("v2-", i)) })
	}
	waitFor(fake, "/v2-", 4)
	time.Sleep(20 * time.Millisecond)
	if n := fake.Count("", "/v2-"); n != 4 {
		t.Errorf("%d lookups at once, want 4", n)
	}
	close(until)
	all.Wait()
	if n := fake.Count("HEAD", "/v2-"); n != 20 {
		t.Errorf("%d lookups, want 20", n)
	}
}
