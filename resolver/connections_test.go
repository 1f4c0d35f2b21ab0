package resolver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Bodies come over several connections, though the server speaks HTTP/2.
func TestFetchOverSeveralConnections(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 2, 1<<20)
	server := httptest.NewUnstartedServer(fake)
	server.EnableHTTP2 = true
	var connections atomic.Int64
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	caFile := writePEM(t, server.Certificate().Raw)
	blob := repoOf(t, dial(t, server.Listener.Addr().String(), Options{CAFile: caFile}), "app").Blob(desc)
	if _, _, err := fetch(blob, 0, 10); err != nil {
		t.Fatal(err)
	}
	fake.Reset()
	allThere := make(chan struct{})
	fake.Inject(fakeregistry.Fault{Stall: true, Until: allThere})
	var all sync.WaitGroup
	for i := range int64(4) {
		all.Go(func() {
			got, _, err := fetch(blob, 1000*i, 1000)
			want := make([]byte, 1000)
			_, _ = fakeregistry.Generated(2, 1<<20).ReadAt(want, 1000*i)
			if err != nil || got != string(want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	waitFor(fake, "/blobs/", 4)
	close(allThere)
	all.Wait()
	if n := connections.Load(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}
