package resolver

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestParseHeader(t *testing.T) {
	got, err := ParseHeader([]string{"x-one: 1, 2", "X-Two:", "X-ONE:3", "authorization: Bearer x:y"})
	want := http.Header{"X-One": {"1, 2", "3"}, "X-Two": {""}, "Authorization": {"Bearer x:y"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, line := range []string{
		"", ":", ": s3cret", "s3cret", "A B: s3cret", "A\n: s3cret", "A: s3cret\r\nB: c", "A: s3cret\x00", "Host: s3cret", "range: s3cret",
		"transfer-encoding: s3cret", "Accept-Encoding: s3cret",
	} {
		if got, err := ParseHeader([]string{"X: 1", line}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q is %q, %v", line, got, err)
		}
	}
	if _, err := ParseHeader([]string{"Authorization: a", "authorization: b"}); err == nil {
		t.Error("two of Authorization are taken")
	}
}

// Headers go to the registry with every request, to nobody else, and not with a
// request that comes from elsewhere.
func TestHeader(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("", "", "", true)
	desc := fake.AddBlob("app", alphabet)
	manifest := fake.AddArtifact("app", "v1", "application/vnd.example", nil, desc)
	header, err := ParseHeader([]string{"X-Key: s3cret", "X-Key: other", "Accept: application/vnd.example"})
	if err != nil {
		t.Fatal(err)
	}
	r := repo(t, fake, Options{Header: header})
	cdn := fake.NewCDN()
	cdnHost := serve(t, cdn)
	fake.RedirectBlobs(cdn, "http://"+cdnHost)
	read := func() {
		t.Helper()
		if _, err := r.Resolve(t.Context(), "v1"); err != nil {
			t.Error(err)
		}
		if _, err := r.Manifest(t.Context(), manifest.Digest); err != nil {
			t.Error(err)
		}
		if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	read()
	for _, request := range fake.Requests() { // its token service is at the same origin
		if got := request.Header["X-Key"]; !reflect.DeepEqual(got, []string{"s3cret", "other"}) {
			t.Errorf("%s %s has X-Key %q", request.Method, request.Path, got)
		}
		if accept := request.Header["Accept"]; accept[len(accept)-1] != "application/vnd.example" || strings.Contains(request.Path, "manifests") && len(accept) < 2 {
			t.Errorf("%s %s has Accept %q", request.Method, request.Path, accept)
		}
	}
	if fake.Count("", "/token") == 0 || cdn.Count("", "") == 0 {
		t.Error("neither a token service nor a CDN was asked: the test shows nothing")
	}
	for _, request := range cdn.Requests() {
		if request.Header.Get("X-Key") != "" {
			t.Error("the CDN has seen X-Key")
		}
	}
}

// Where another host sends back to the registry, it is that host's request.
func TestHeaderOfAnothersRequest(t *testing.T) {
	fake, outside := fakeregistry.New(), fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	r := repo(t, fake, Options{Header: http.Header{"X-Key": {"s3cret"}}})
	fake.Inject(fakeregistry.Fault{
		If:     func(req *http.Request) bool { return req.URL.RawQuery == "" },
		Status: 307, Header: map[string]string{"Location": "http://" + serve(t, outside) + "/x"},
	})
	outside.Inject(fakeregistry.Fault{Status: 307, Header: map[string]string{"Location": "http://" + r.registry.host + "/v2/app/blobs/" + desc.Digest.String() + "?back"}})
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, _ = r.Manifest(t.Context(), desc.Digest) // by another way
	if n := len(outside.Requests()); n != 2 {
		t.Errorf("%d requests are sent elsewhere: the test shows nothing", n)
	}
	for _, request := range append(outside.Requests(), fake.Requests()...) {
		if first := request.Host == r.registry.host && !request.Query.Has("back"); (request.Header.Get("X-Key") != "") != first {
			t.Errorf("%s %s %v has X-Key %q", request.Host, request.Path, request.Query, request.Header.Get("X-Key"))
		}
	}
}

// A token service elsewhere isn't the registry.
func TestHeaderAndTokenService(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("", "", "", true)
	desc := fake.AddBlob("app", alphabet)
	service := tokenService(t, fake)
	fake.SetRealm(service)
	r := repo(t, fake, Options{Header: http.Header{"X-Key": {"s3cret"}}})
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	for _, request := range fake.Matching("", "/token") {
		if request.Header.Get("X-Key") != "" {
			t.Errorf("%s has seen X-Key", request.Host)
		}
	}
}

// An Authorization that is given wins over what is configured, and one that isn't
// good is a credential that isn't accepted.
func TestHeaderAuthorization(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	desc := fake.AddBlob("app", alphabet)
	for value, ok := range map[string]bool{"Basic YWxpY2U6c2VjcmV0": true, "Basic YWxpY2U6d3Jvbmc=": false} {
		r := repo(t, fake, Options{Header: http.Header{"Authorization": {value}}, Username: "alice", Password: "secret"})
		fake.Reset()
		_, _, err := fetch(r.Blob(desc), 0, 4)
		if (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
		if err := r.registry.Ping(t.Context()); (err == nil) != ok || !ok && !isKind(err, ErrCredential) {
			t.Errorf("%s: %v", value, err)
		}
		for _, request := range fake.Requests() {
			if got := request.Header["Authorization"]; len(got) != 1 || got[0] != value {
				t.Errorf("Authorization is %q, not %q", got, value)
			}
		}
		if id, err := r.registry.Credential(t.Context()); id == "" || err != nil {
			t.Errorf("it is no credential: %q, %v", id, err)
		}
	}
}

// No token is sent beside it either, or in its place.
func TestHeaderAuthorizationAndTokens(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("", "", "", true)
	desc := fake.AddBlob("app", alphabet)
	r := repo(t, fake, Options{Header: http.Header{"Authorization": {"Bearer mine"}}})
	_, _, err := fetch(r.Blob(desc), 0, 4)
	wantStatus(t, err, 401)
	if fake.Count("", "/blobs/") < 2 {
		t.Error("nobody has tried it with a token: the test shows nothing")
	}
	for _, request := range fake.Requests() {
		if got := request.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer mine" {
			t.Errorf("%s: Authorization is %q", request.Path, got)
		}
	}
}
