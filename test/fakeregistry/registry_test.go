package fakeregistry

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// get asks a handler and returns the answer's body.
func get(t *testing.T, handler http.Handler, path string, header ...string) (*httptest.ResponseRecorder, string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	return w, w.Body.String()
}

func TestRanges(t *testing.T) {
	r := New()
	desc := r.AddBlob("app", []byte("abcdef"))
	tests := []struct {
		header, content, contentRange string
		status                        int
	}{
		{"", "abcdef", "", 200},
		{"bytes=1-2", "bc", "bytes 1-2/6", 206},
		{"bytes=4-", "ef", "bytes 4-5/6", 206},
		{"bytes=-2", "ef", "bytes 4-5/6", 206},
		{"bytes=4-100", "ef", "bytes 4-5/6", 206},
		{"bytes=6-7", "", "bytes */6", 416},
		{"bytes=0-1,3-4", "abcdef", "", 200},
	}
	for _, test := range tests {
		w, content := get(t, r, "/v2/app/blobs/"+desc.Digest.String(), "Range", test.header)
		if content != test.content || w.Code != test.status || w.Header().Get("Content-Range") != test.contentRange {
			t.Errorf("%q: %d %q, Content-Range %q", test.header, w.Code, content, w.Header().Get("Content-Range"))
		}
	}
	requests := r.Matching("GET", "/blobs/")
	if last := requests[1]; len(requests) != len(tests) || last.Status != 206 || last.Bytes != 2 || last.Header.Get("Range") != "bytes=1-2" {
		t.Errorf("%d requests, the second %+v", len(requests), last)
	}
}

func TestGenerated(t *testing.T) {
	r := New()
	desc := r.AddGenerated("app", 7, 1001)
	_, whole := get(t, r, "/v2/app/blobs/"+desc.Digest.String())
	if digest.FromString(whole) != desc.Digest || len(whole) != 1001 {
		t.Error("the content doesn't match its descriptor")
	}
	part := make([]byte, 13)
	if _, err := Generated(7, 1001).ReadAt(part, 501); err != nil || string(part) != whole[501:514] {
		t.Errorf("the same bytes read alone differ: %v", err)
	}
	if other, err := io.ReadAll(Generated(8, 1001)); err != nil || string(other) == whole {
		t.Errorf("another seed makes the same content: %v", err)
	}
}

func TestFaults(t *testing.T) {
	r := New()
	desc := r.AddBlob("app", []byte("abcdef"))
	path := "/v2/app/blobs/" + desc.Digest.String()
	remove := r.Inject(Fault{Path: "/blobs/", Flip: true, FlipAt: 2})
	if _, content := get(t, r, path, "Range", "bytes=1-3"); content != "b"+string([]byte{'c' ^ 0xff})+"d" {
		t.Errorf("flipped: %q", content)
	}
	if _, content := get(t, r, path, "Range", "bytes=3-5"); content != "def" {
		t.Errorf("not flipped: %q", content)
	}
	remove()
	r.Inject(Fault{Path: "/blobs/", Range: "bytes=1-2", Times: 2})
	for header, want := range map[string]string{"bytes=3-5": "bc", "": "abcdef"} {
		if _, content := get(t, r, path, "Range", header); content != want {
			t.Errorf("another range than %q: %q", header, content)
		}
	}
	r.Inject(Fault{Path: "/blobs/", Status: 429, Times: 2, Header: map[string]string{"Retry-After": "7"}})
	for i, want := range []int{429, 429, 200} {
		if w, _ := get(t, r, path); w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
	until := make(chan struct{})
	r.Inject(Fault{Stall: true, Until: until, Times: 1})
	close(until)
	if _, content := get(t, r, path); content != "abcdef" {
		t.Errorf("after a stall that ended: %q", content)
	}
}

func TestCutBreaksTheConnection(t *testing.T) {
	r := New()
	desc := r.AddBlob("app", bytes.Repeat([]byte("x"), 100))
	server := httptest.NewServer(r)
	defer server.Close()
	for _, c := range []struct {
		fault Fault
		asked string
		bytes int
	}{
		{Fault{Cut: true, CutAt: 10}, "", 10},
		{Fault{Cut: true, CutAt: 10}, "bytes=20-", 10},
		{Fault{Cut: true, CutAt: 50, InBlob: true}, "bytes=20-", 30},
		{Fault{Cut: true, CutAt: 50, InBlob: true}, "bytes=60-", 0},
	} {
		remove := r.Inject(c.fault)
		req, err := http.NewRequest(http.MethodGet, server.URL+"/v2/app/blobs/"+desc.Digest.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.asked != "" {
			req.Header.Set("Range", c.asked)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if len(content) != c.bytes || err == nil {
			t.Errorf("%+v, asked for %q: %d bytes, %v", c.fault, c.asked, len(content), err)
		}
		remove()
	}
}

func TestManifestNeedsAccept(t *testing.T) {
	r := New()
	desc := r.AddArtifact("a/b", "v1", "application/x", nil)
	if w, _ := get(t, r, "/v2/a/b/manifests/v1"); w.Code != 404 {
		t.Errorf("without Accept: %d", w.Code)
	}
	for _, reference := range []string{"v1", desc.Digest.String()} {
		w, content := get(t, r, "/v2/a/b/manifests/"+reference, "Accept", ocispec.MediaTypeImageManifest)
		if digest.FromString(content) != desc.Digest || w.Header().Get("Docker-Content-Digest") != desc.Digest.String() {
			t.Errorf("%s: %d %q", reference, w.Code, content)
		}
	}
	r.Untag("a/b", "v1")
	if w, _ := get(t, r, "/v2/a/b/manifests/v1", "Accept", "*/*"); w.Code != 404 {
		t.Errorf("after it was untagged: %d", w.Code)
	}
}

func TestReferrers(t *testing.T) {
	r := New()
	subject := r.AddArtifact("app", "v1", "application/x", nil)
	path := "/v2/app/referrers/" + subject.Digest.String()
	if w, _ := get(t, r, path); w.Code != 404 {
		t.Errorf("without any: %d", w.Code)
	}
	r.AddReferrer("app", subject.Digest, r.AddArtifact("app", "", "application/spdx+json", nil))
	for query, want := range map[string]bool{"": true, "?artifactType=application/spdx%2Bjson": true, "?artifactType=x": false} {
		if _, content := get(t, r, path+query); bytes.Contains([]byte(content), []byte("spdx")) != want {
			t.Errorf("%q: %s", query, content)
		}
	}
}

func TestCDNNeedsItsSignature(t *testing.T) {
	r := New()
	desc := r.AddBlob("app", []byte("abcdef"))
	cdn := r.NewCDN()
	r.RedirectBlobs(cdn, "http://cdn.example.com/")
	w, _ := get(t, r, "/v2/app/blobs/"+desc.Digest.String())
	location := w.Header().Get("Location")
	if _, content := get(t, cdn, location); content != "abcdef" {
		t.Errorf("%s: %q", location, content)
	}
	if w, _ := get(t, cdn, "/storage/"+desc.Digest.String()); w.Code != 403 {
		t.Errorf("without a signature: %d", w.Code)
	}
	cdn.Expire()
	if w, _ := get(t, cdn, location); w.Code != 403 {
		t.Errorf("expired: %d", w.Code)
	}
}

func TestBearerTokens(t *testing.T) {
	r := New()
	r.AddRepositories("app")
	r.RequireBearer("alice", "secret", "", false)
	r.LimitTokens(1)
	if w, _ := get(t, r, "/v2/app/tags/list"); w.Code != 401 || w.Header().Get("WWW-Authenticate") !=
		`Bearer realm="http://example.com/token",service="fake",scope="repository:app:pull"` {
		t.Errorf("%d %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	if w, _ := get(t, r, "/token?scope=repository:app:pull"); w.Code != 401 {
		t.Errorf("anonymous token: %d", w.Code)
	}
	r.RequireBearer("alice", "secret", "", true)
	r.LimitTokens(1)
	_, answer := get(t, r, "/token?scope=repository:app:pull")
	var token string
	for id := range r.auth.tokens {
		token = id
	}
	if token == "" || !bytes.Contains([]byte(answer), []byte(token)) {
		t.Fatalf("%s", answer)
	}
	for path, want := range map[string]int{"/v2/other/tags/list": 401, "/v2/_catalog": 401} {
		if w, _ := get(t, r, path, "Authorization", "Bearer "+token); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for i, want := range []int{200, 401} {
		if w, _ := get(t, r, "/v2/app/tags/list", "Authorization", "Bearer "+token); w.Code != want {
			t.Errorf("use %d: %d, want %d", i, w.Code, want)
		}
	}
}
