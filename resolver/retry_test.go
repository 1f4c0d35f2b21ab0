package resolver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestRetries(t *testing.T) {
	tests := []struct {
		name     string
		fault    fakeregistry.Fault
		fails    bool
		requests int
	}{
		{"500 twice", fakeregistry.Fault{Status: 500, Times: 2}, false, 3},
		{"502", fakeregistry.Fault{Status: 502, Times: 1}, false, 2},
		{"503", fakeregistry.Fault{Status: 503, Times: 1}, false, 2},
		{"504", fakeregistry.Fault{Status: 504, Times: 1}, false, 2},
		{"408", fakeregistry.Fault{Status: 408, Times: 1}, false, 2},
		{"429", fakeregistry.Fault{Status: 429, Times: 1}, false, 2},
		{"520", fakeregistry.Fault{Status: 520, Times: 1}, false, 2},
		{"524", fakeregistry.Fault{Status: 524, Times: 1}, false, 2},
		{"530", fakeregistry.Fault{Status: 530, Times: 1}, false, 2},
		{"525", fakeregistry.Fault{Status: 525, Times: 1}, true, 1}, // its certificate is wrong
		{"closed before any header", fakeregistry.Fault{Close: true, Times: 2}, false, 3},
		{"reset", fakeregistry.Fault{Reset: true, Times: 2}, false, 3},
		{"body breaks off", fakeregistry.Fault{Cut: true, CutAt: 10, Times: 2}, false, 3},
		{"500 for ever", fakeregistry.Fault{Status: 500}, true, 6},
		{"400", fakeregistry.Fault{Status: 400}, true, 1},
		{"403", fakeregistry.Fault{Status: 403}, true, 1},
		{"501", fakeregistry.Fault{Status: 501}, true, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake := fakeregistry.New()
			desc := fake.AddArtifact("app", "v1", "", nil)
			fake.Inject(test.fault)
			r := repo(t, fake, Options{})
			content, err := r.Manifest(t.Context(), desc.Digest)
			if (err != nil) != test.fails || (err == nil && int64(len(content)) != desc.Size) {
				t.Errorf("%d bytes, %v", len(content), err)
			}
			if test.fails {
				wantStatus(t, err, test.fault.Status)
			}
			if n := fake.Count("", ""); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// TestConnectionIsReusedAndClosed has a server that closes a connection which it had
// kept open, once a request is on its way: what was sent is sent again on another.
func TestConnectionIsReusedAndClosed(t *testing.T) {
	for _, fault := range []fakeregistry.Fault{{Close: true, Times: 1}, {Reset: true, Times: 1}} {
		fake := fakeregistry.New()
		fake.RequireBearer("alice", "secret", "identity", false)
		desc := fake.AddArtifact("app", "v1", "", nil)
		blob := fake.AddBlob("app", alphabet)
		r := repo(t, fake, Options{Password: "identity"})
		ask := map[string]func() error{
			"/manifests/v1":     func() error { _, err := r.Resolve(t.Context(), "v1"); return err },
			"/manifests/sha256": func() error { _, err := r.Manifest(t.Context(), desc.Digest); return err },
			"/blobs/":           func() error { _, _, err := fetch(r.Blob(blob), 0, 4); return err },
			"/token":            func() error { fake.ExpireTokens(); _, err := r.Resolve(t.Context(), "v1"); return err },
		}
		for path, question := range ask {
			if err := question(); err != nil {
				t.Fatal(err)
			}
			remove := fake.Inject(fakeregistry.Fault{Path: path, Close: fault.Close, Reset: fault.Reset, Times: 1})
			before := fake.Count("", path)
			if err := question(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if n := fake.Count("", path) - before; n != 2 {
				t.Errorf("%s: %d requests, want 2", path, n)
			}
			remove()
		}
	}
}

func TestRetryIsLogged(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Reset: true, Times: 1})
	fake.Inject(fakeregistry.Fault{Status: 502, Times: 1})
	var log bytes.Buffer
	if _, err := repo(t, fake, Options{Log: debugLog(&log)}).BlobSize(t.Context(), desc.Digest); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "reset") ||
		!strings.Contains(lines[1], "status code 502") || !strings.Contains(lines[1], desc.Digest.String()) {
		t.Errorf("log:\n%s", &log)
	}
}

// The wait that a registry asks for is kept, in seconds or as a date, also by who
// asks for something else of the kind.
func TestRetryAfterIsHonoured(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503, 522} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				fake := fakeregistry.New()
				r := repo(t, fake, Options{Timeout: 30 * time.Second})
				first, second := fake.AddBlob("app", alphabet), fake.AddBlob("app", []byte("second"))
				began := time.Now()
				fake.Inject(fakeregistry.Fault{Status: status, Times: 1, Header: map[string]string{"Retry-After": value()}})
				var both sync.WaitGroup
				both.Go(func() {
					if got, _, err := fetch(r.Blob(first), 0, 4); got != "abcd" || err != nil {
						t.Errorf("%q, %v", got, err)
					}
				})
				waitFor(fake, "/blobs/", 1)
				for h := hostOf(r); h.free("/blobs/") && fake.Count("", "/blobs/") == 1; {
					time.Sleep(time.Millisecond)
				}
				if got, _, err := fetch(r.Blob(second), 0, 6); got != "second" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				both.Wait()
				if took := time.Since(began); took < 500*time.Millisecond {
					t.Errorf("asked again after %s", took)
				}
				if n := fake.Count("", ""); n != 3 {
					t.Errorf("%d requests, want 3", n)
				}
			})
		}
	}
}

// hostOf is the host of a repository's registry, which was asked before.
func hostOf(r *Repository) *host {
	t := r.registry.hosts
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.table {
		if sameOrigin(h.origin, t.origin) {
			return h
		}
	}
	return nil
}

// A wait that nobody would sit through isn't begun, and the error says so.
func TestRetryAfterTooLong(t *testing.T) {
	for _, status := range []int{429, 503} {
		fake := fakeregistry.New()
		desc := fake.AddArtifact("app", "v1", "", nil)
		fake.Inject(fakeregistry.Fault{Status: status, Header: map[string]string{"Retry-After": "3600"}})
		r := repo(t, fake, Options{})
		_, err := r.Resolve(t.Context(), "v1")
		_, _, fetchErr := fetch(r.Blob(desc), 0, 4)
		for _, err := range []error{err, fetchErr} {
			wantStatus(t, err, status)
			if !strings.Contains(err.Error(), "1h0m0s") {
				t.Errorf("error %v doesn't say for how long", err)
			}
		}
		// 503 is about the whole host.
		if n, want := fake.Count("", ""), map[int]int{429: 2, 503: 1}[status]; n != want {
			t.Errorf("%d: %d requests, want %d", status, n, want)
		}
	}
}

// 429 is about requests of its kind.
func TestRetryAfterOfOneKind(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddArtifact("app", "v1", "", nil)
	blob := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Method: "GET", Path: "/manifests/", Status: 429, Header: map[string]string{"Retry-After": "3600"}})
	r := repo(t, fake, Options{})
	for range 3 {
		_, err := r.Manifest(t.Context(), desc.Digest)
		wantStatus(t, err, 429)
	}
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Errorf("HEAD: %v", err)
	}
	if got, _, err := fetch(r.Blob(blob), 0, 4); got != "abcd" || err != nil {
		t.Errorf("blob: %q, %v", got, err)
	}
	if n := fake.Count("GET", "/manifests/"); n != 1 {
		t.Errorf("%d GETs of manifests, want 1", n)
	}
}

// A mistaken header doesn't end a mount.
func TestRetryAfterIsCapped(t *testing.T) {
	fake := fakeregistry.New()
	fake.Inject(fakeregistry.Fault{Status: 503, Times: 1, Header: map[string]string{"Retry-After": "86400"}})
	r := repo(t, fake, Options{})
	wantStatus(t, r.registry.Ping(t.Context()), 503)
	h := hostOf(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.held("other"); held == nil || time.Until(held.until) > maxHold {
		t.Errorf("%+v", held)
	}
}

// A timeout is retried once.
func TestRetryOfTimeouts(t *testing.T) {
	for name, stalls := range map[string]int{"one stall": 1, "stalls": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := fakeregistry.New()
			fake.AddArtifact("app", "v1", "", nil)
			r := repo(t, fake, Options{Timeout: answerTimeout})
			fake.Inject(fakeregistry.Fault{Stall: true, Times: stalls})
			_, err := r.Resolve(t.Context(), "v1")
			if stalls > 0 && err != nil {
				t.Error(err)
			}
			if stalls == 0 {
				wantIs(t, err, context.DeadlineExceeded)
			}
			if n := fake.Count("", "/manifests/"); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

// A refused connection is retried where the registry answered before.
func TestRetryOfRefusedConnection(t *testing.T) {
	fake := fakeregistry.New()
	server := httptest.NewServer(fake)
	r := dial(t, server.Listener.Addr().String(), Options{})
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	var log bytes.Buffer
	r.log = debugLog(&log)
	if err := r.Ping(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(log.String(), "sent again"); n != maxRetries {
		t.Errorf("%d retries, want %d", n, maxRetries)
	}
}

func TestStallIsRetriedOnce(t *testing.T) {
	r := connect(t, fakeregistry.New(), Options{})
	retries := r.newRetries()
	stall := timeoutError{"no answer", true}
	for attempt, again := range []bool{true, false, false} {
		if err := retries.next(t.Context(), stall); (err == nil) != again {
			t.Errorf("attempt %d: %v; want another: %v", attempt, err, again)
		}
	}
}

// A registry that goes on answering, but never to the end, ends as well.
func TestOperationIsBounded(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	desc := fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Drip: 20 * time.Millisecond}) // some 400 bytes
	r := repo(t, fake, Options{Timeout: shortTimeout})
	_, err := r.Manifest(t.Context(), desc.Digest)
	wantIs(t, err, context.DeadlineExceeded)
	if !strings.Contains(fmt.Sprint(err), (2 * shortTimeout).String()) {
		t.Errorf("error %v doesn't say how long it took", err)
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"0", 0, true},
		{" 120 ", 2 * time.Minute, true},
		{"9223372036854775807", (1 << 30) * time.Second, true},
		{"Mon, 06 May 2024 07:09:09 GMT", time.Minute, true},
		{"Monday, 06-May-24 07:09:09 GMT", time.Minute, true},
		{"Mon, 06 May 2024 07:00:00 GMT", 0, true},
		{"", 0, false},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"9223372036854775808", 0, false},
	}
	for _, test := range tests {
		if got, ok := parseRetryAfter(test.value, now); got != test.want || ok != test.ok {
			t.Errorf("%q: %s, %v; want %s, %v", test.value, got, ok, test.want, test.ok)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"120", "Mon, 06 May 2024 07:09:09 GMT", "", "-1", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if wait, ok := parseRetryAfter(value, time.Now()); wait < 0 || (!ok && wait != 0) {
			t.Fatalf("%q: %s, %v", value, wait, ok)
		}
	})
}
