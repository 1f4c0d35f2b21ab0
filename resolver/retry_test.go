package resolver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
			_, content, err := r.Manifest(t.Context(), desc.Digest)
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

func TestRetryIsLogged(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Reset: true, Times: 1})
	fake.Inject(fakeregistry.Fault{Status: 500, Times: 1})
	var log bytes.Buffer
	if _, err := repo(t, fake, Options{Log: debugLog(&log)}).BlobSize(t.Context(), desc.Digest); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "reset") ||
		!strings.Contains(lines[1], "status=500") || !strings.Contains(lines[1], desc.Digest.String()) {
		t.Errorf("log:\n%s", &log)
	}
}

// The wait that a registry asks for is kept, in seconds or as a date.
func TestRetryAfterIsHonoured(t *testing.T) {
	fake := fakeregistry.New()
	r := connect(t, fake, Options{Timeout: 30 * time.Second})
	for value, atLeast := range map[string]time.Duration{
		"7": 7 * time.Second,
		time.Now().Add(50 * time.Second).UTC().Format(http.TimeFormat): 20 * time.Second,
	} {
		for _, status := range []int{429, 503} {
			resp := &http.Response{
				StatusCode: status,
				Header:     http.Header{"Retry-After": {value}},
				Request:    &http.Request{URL: r.origin},
			}
			if wait, err := r.policy().Retry(0, resp, nil); err != nil || wait < atLeast {
				t.Errorf("%d with Retry-After %q: wait %s, %v", status, value, wait, err)
			}
		}
	}
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Status: 429, Times: 2, Header: map[string]string{"Retry-After": "0"}})
	if got, _, err := fetch(repoOf(t, r, "app").Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
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
		if n := fake.Count("", ""); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	}
}

// A timeout is retried once, a refused connection only where the registry
// answered before.
func TestRetryOfTimeouts(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{Timeout: 300 * time.Millisecond})

	fake.Inject(fakeregistry.Fault{Stall: true, Times: 1})
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Errorf("one stall: %v", err)
	}
	fake.Reset()
	fake.Inject(fakeregistry.Fault{Stall: true})
	_, err := r.Resolve(t.Context(), "v1")
	wantIs(t, err, context.DeadlineExceeded)
	if n := fake.Count("", ""); n != 2 {
		t.Errorf("%d requests to a registry that stalls, want 2", n)
	}
}

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
	policy := r.policy()
	stall := timeoutError{"no answer", true}
	for attempt, again := range []bool{true, false, false} {
		if wait, err := policy.Retry(attempt, nil, stall); (wait >= 0) != again || err != nil {
			t.Errorf("attempt %d: %s, %v; want another: %v", attempt, wait, err, again)
		}
	}
}

// A registry that goes on answering, but never to the end, ends as well.
func TestOperationIsBounded(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Drip: 5 * time.Millisecond}) // some 400 bytes
	r := repo(t, fake, Options{Timeout: 200 * time.Millisecond})
	_, _, err := r.Manifest(t.Context(), desc.Digest)
	wantIs(t, err, context.DeadlineExceeded)
	if !strings.Contains(fmt.Sprint(err), "600ms") {
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
