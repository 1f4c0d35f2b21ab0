package resolver

import (
	"io"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// While the end of an answer comes, the next one is asked for: its latency passes
// meanwhile. Before that it waits.
func TestFetchAsksBeforeTheEnd(t *testing.T) {
	const size, concurrency = 4 << 20, 3
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 3, (concurrency+1)*size)
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Times: 1, Hang: true, CutAt: size - size/endingPart, Until: t.Context().Done()})
	r := repo(t, fake, Options{Concurrency: concurrency})
	blob := r.Blob(desc)
	nobody := make(chan struct{})
	first, _, err := blob.Fetch(t.Context(), 0, size, nobody)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()                     //nolint:errcheck // it hangs
	for i := range int64(concurrency - 1) { // which come to nothing: nobody reads them
		other, _, err := blob.Fetch(t.Context(), (i+1)*size, size, nobody)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close() //nolint:errcheck // likewise
	}
	begun := make(chan error)
	go func() {
		next, _, err := blob.Fetch(t.Context(), concurrency*size, size, nobody)
		if err == nil {
			err = next.Close()
		}
		begun <- err
	}()
	host, err := r.registry.hosts.enter(r.registry.origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, first, size/2); err != nil {
		t.Fatal(err)
	}
	(&queuer{slots: host.bodies}).await(1)
	if n := fake.Count("", "/blobs/"); n != concurrency {
		t.Errorf("%d requests in the middle of the first", n)
	}
	if _, err := io.CopyN(io.Discard, first, size/2-size/endingPart); err != nil {
		t.Fatal(err)
	}
	if err := <-begun; err != nil {
		t.Error(err)
	}
}
