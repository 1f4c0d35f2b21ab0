package mount

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A front stands before a real registry and counts what is asked of it.
type front struct {
	host string

	// mu guards what follows.
	mu     sync.Mutex
	seen   []request
	refuse func(*http.Request) int
}

// A request is what a registry was asked for, and which bytes of a blob it
// sent, if any: from the first up to, not including, the last.
type request struct {
	method, path string
	first, last  int64
}

// startFront starts a proxy before the registry at that host.
func startFront(t testing.TB, host string) *front {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: host}
	f := &front{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The registry makes the URLs it answers with from this.
			r.Out.Host = r.In.Host
		},
		ModifyResponse: f.record,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := f.refusal(r); code != 0 {
			http.Error(w, `{"errors":[{"code":"DENIED"}]}`, code)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.host = server.Listener.Addr().String()
	return f
}

// refuseIf makes the front answer by itself the requests for which code isn't
// 0.
func (f *front) refuseIf(code func(*http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = code
}

func (f *front) refusal(r *http.Request) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse == nil {
		return 0
	}
	return f.refuse(r)
}

func (f *front) record(response *http.Response) error {
	r := request{method: response.Request.Method, path: response.Request.URL.Path}
	if r.method == http.MethodGet && strings.Contains(r.path, "/blobs/") {
		r.last = response.ContentLength
		if response.StatusCode == http.StatusPartialContent {
			if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-%d/", &r.first, &r.last); err != nil {
				return err
			}
			r.last++
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
	return nil
}

// forget begins to count anew.
func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = nil
}

// requests are those since the last forget whose path holds part.
func (f *front) requests(part string) []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var some []request
	for _, r := range f.seen {
		if strings.Contains(r.path, part) {
			some = append(some, r)
		}
	}
	return some
}

// sent is how many bytes of blobs were sent.
func sent(requests []request) int64 {
	var sum int64
	for _, r := range requests {
		sum += r.last - r.first
	}
	return sum
}

// once fails the test unless the requests fetched each byte of a blob of that
// size exactly once.
func once(t testing.TB, requests []request, size int64) {
	t.Helper()
	slices.SortFunc(requests, func(a, b request) int { return cmp.Compare(a.first, b.first) })
	var end int64
	for _, r := range requests {
		if r.method != http.MethodGet {
			continue
		}
		if r.first != end {
			t.Fatalf("bytes %d to %d were fetched, expected from %d on: not each byte once\n%v", r.first, r.last, end, requests)
		}
		end = r.last
	}
	if end != size {
		t.Fatalf("%d bytes of %d were fetched", end, size)
	}
}
