package resolver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// counted are the requests of a host, as "KIND OUTCOME", and the bytes that came.
func counted(t *testing.T, traffic *Traffic, host string) (requests map[string]uint64, received int64) {
	t.Helper()
	requests = make(map[string]uint64)
	for _, h := range traffic.Snapshot() {
		if h.Host != host {
			continue
		}
		received = h.Received
		for _, r := range h.Requests {
			requests[r.Kind+" "+r.Outcome] = r.Count
			if last := r.Buckets[len(r.Buckets)-1]; last != r.Count || r.Seconds <= 0 {
				t.Errorf("%s: %d of %d requests took no longer than the last bound, %f s in all", host, last, r.Count, r.Seconds)
			}
		}
	}
	return requests, received
}

// Every request is counted once, with what was asked for and what became of it, and
// every byte that came.
func TestTraffic(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("", "", "", true)
	cdn := fake.NewCDN()
	cdnHost := serve(t, cdn)
	fake.RedirectBlobs(cdn, "http://"+cdnHost)
	desc := fake.AddArtifact("app", "v1", "", nil)
	blob := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Path: "/manifests/v1", Status: http.StatusTooManyRequests, Times: 1})
	fake.Inject(fakeregistry.Fault{Path: "/manifests/" + desc.Digest.String(), Status: http.StatusServiceUnavailable, Times: 2})
	fake.Inject(fakeregistry.Fault{Path: "/manifests/" + desc.Digest.String(), Cut: true, CutAt: 10, Times: 1})
	fake.Inject(fakeregistry.Fault{Path: "/manifests/sha256:0", Status: 499})
	var traffic Traffic
	host := serve(t, fake)
	r := repoOf(t, dial(t, host, Options{Traffic: &traffic}), "app")
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Manifest(t.Context(), desc.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Manifest(t.Context(), digest.NewDigestFromEncoded(digest.SHA256, strings.Repeat("0", 64))); err == nil {
		t.Error("there is a manifest with an odd status")
	}
	if got, _, err := fetch(r.Blob(blob), 0, 4); got != "abcd" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	got, received := counted(t, &traffic, host)
	want := map[string]uint64{"token 200": 1, "manifest 401": 1, "manifest 429": 1, "manifest 503": 2, "manifest 200": 3, "manifest 4xx": 1, "blob 307": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the registry was asked %v, not %v", got, want)
	}
	var sent int64
	for _, request := range fake.Requests() {
		if request.Method == http.MethodGet && request.Status == http.StatusOK {
			sent += request.Bytes
		}
	}
	if received < sent || received > sent+4096 { // what says why something was denied is read, or not
		t.Errorf("%d bytes came, %d of success", received, sent)
	}
	got, received = counted(t, &traffic, cdnHost)
	if fmt.Sprint(got) != fmt.Sprint(map[string]uint64{"blob 206": 1}) || received != 4 {
		t.Errorf("the CDN was asked %v and sent %d bytes", got, received)
	}
	if got, want := traffic.Retries(), map[string]int64{"throttled": 1, "unavailable": 2, "broken": 1}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("retries %v, not %v", got, want)
	}
}

// However many hosts there are, some are counted by name, and all are counted.
func TestTrafficIsBounded(t *testing.T) {
	var traffic Traffic
	for i := range 10 * maxCounted {
		resp := &http.Response{StatusCode: 100 + i, Body: http.NoBody}
		traffic.answered(fmt.Sprintf("cdn-%d.example.com", i), "blob", time.Now(), resp, nil)
	}
	all := traffic.Snapshot()
	var requests uint64
	for _, h := range all {
		if len(h.Requests) > 40 {
			t.Errorf("%s has %d kinds of requests", h.Host, len(h.Requests))
		}
		for _, r := range h.Requests {
			requests += r.Count
		}
	}
	if len(all) != maxCounted+1 || requests != 10*maxCounted {
		t.Errorf("%d hosts with %d requests", len(all), requests)
	}
}

// A host that is down or asks to be left alone says so, until its registry is closed.
func TestStates(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	host := serve(t, fake)
	var traffic Traffic
	registry := dial(t, host, Options{Traffic: &traffic, Timeout: 10 * time.Second})
	r := repoOf(t, registry, "app")
	if _, err := r.Resolve(t.Context(), "v1"); err != nil || len(traffic.States()) > 0 {
		t.Fatalf("%v, and %v of a host that is well", err, traffic.States())
	}
	fake.Inject(fakeregistry.Fault{Path: "/tags/", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "200"}})
	before := time.Now()
	if err := r.Tags(t.Context(), func([]string) error { return nil }); err == nil {
		t.Error("tags are listed")
	}
	states := traffic.States()
	if len(states) != 1 || states[0].Host != host || states[0].Registry != host || !states[0].Down.IsZero() || len(states[0].Holds) != 1 {
		t.Fatalf("states %+v", states)
	}
	if held := states[0].Holds[0]; held.About != "/tags/list" || held.Until.Before(before.Add(200*time.Second)) || !strings.Contains(held.Reason, "429") {
		t.Errorf("held %+v", held)
	}
	fake.Inject(fakeregistry.Fault{Reset: true})
	if _, err := r.Manifest(t.Context(), digest.FromString("nothing")); err == nil {
		t.Error("a manifest of a host that resets")
	}
	if states = traffic.States(); len(states) != 1 || states[0].Down.IsZero() || states[0].DownReason == "" || len(states[0].Holds) != 1 {
		t.Errorf("states %+v", states)
	}
	if got, _ := counted(t, &traffic, host); got["manifest failed"] == 0 {
		t.Errorf("requests %v", got)
	}
	if err := registry.Close(); err != nil {
		t.Fatal(err)
	}
	if states = traffic.States(); len(states) != 0 {
		t.Errorf("states of a registry that is closed: %+v", states)
	}
}
