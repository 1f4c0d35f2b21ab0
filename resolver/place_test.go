package resolver

import (
	"io"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// While the end of an answer comes, the next one is asked for: its latency passes
// meanwhile. Before that it waits.
func TestFetchAsksBeforeTheEnd(t *testing.T) {
	const size = 4 << 20
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 3, 2*size)
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Times: 1, Hang: true, CutAt: size - size/endingPart, Until: t.Context().Done()})
	r := repo(t, fake, Options{Concurrency: 1})
	blob := r.Blob(desc)
	nobody := make(chan struct{})
	first, _, err := blob.Fetch(t.Context(), 0, size, nobody)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // it hangs
	begun := make(chan error)
	go func() {
		second, _, err := blob.Fetch(t.Context(), size, size, nobody)
		if err == nil {
			err = second.Close()
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
	if n := fake.Count("", "/blobs/"); n != 1 {
		t.Errorf("%d requests in the middle of the first", n)
	}
	if _, err := io.CopyN(io.Discard, first, size/2-size/endingPart); err != nil {
		t.Fatal(err)
	}
	if err := <-begun; err != nil {
		t.Error(err)
	}
}
