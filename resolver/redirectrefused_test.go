package resolver

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// to is a fault that redirects blobs.
func to(address string) fakeregistry.Fault {
	return fakeregistry.Fault{Path: "/blobs/", Status: 307, Header: map[string]string{"Location": address}}
}

func TestRedirectIsRefused(t *testing.T) {
	for address, says := range map[string]string{
		"ftp://cdn.example.com/?sig=hidden":  "refused",
		"file:///etc/passwd?sig=hidden":      "refused",
		"javascript:alert(1)":                "refused",
		"http://user:hidden@127.0.0.1:1/":    "names a user",
		"http:///x?sig=hidden":               "Host",
		"http://%zz/?sig=hidden":             "Location",
		"":                                   "redirect without a target",
		"https://127.0.0.1:1/?sig=hidden":    "127.0.0.1:1",
		"http://127.0.0.1:1/?sig=hidden#x?y": "127.0.0.1:1",
	} {
		fake := fakeregistry.New()
		desc := fake.AddBlob("app", alphabet)
		fake.Inject(to(address))
		_, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 0, 4)
		if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v; want one that says %q", address, err, says)
		}
	}
}

func TestRedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	plain := fakeregistry.New()
	target := "http://" + serve(t, plain)
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.AddManifest("app", "v1", "application/vnd.oci.image.manifest.v1+json", []byte("{}"))
	fault := to(target)
	fault.Path = "/v2/app"
	fake.Inject(fault)
	host, caFile := tlsServer(t, fake)
	r := repoOf(t, dial(t, host, Options{CAFile: caFile}), "app")
	if _, _, err := fetch(r.Blob(desc), 0, 4); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("blob: error %v", err)
	}
	if _, err := r.Resolve(t.Context(), "v1"); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("manifest: error %v", err)
	}
	if n := plain.Count("", ""); n != 0 {
		t.Errorf("%d requests over plain HTTP", n)
	}
}

func TestRedirectsThatDontEnd(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(to("/v2/app/blobs/" + desc.Digest.String()))
	_, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 0, 4)
	if err == nil || !strings.Contains(err.Error(), "10 redirects") {
		t.Errorf("error %v", err)
	}
	if n := fake.Count("", ""); n != maxRedirects+1 {
		t.Errorf("%d requests, want %d", n, maxRedirects+1)
	}
}

// The password goes along within the registry's origin, and not a step
// further, not even when a redirect comes back.
func TestRedirectAndCredentials(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	desc := fake.AddBlob("app", alphabet)
	inside := "/v2/app/blobs/" + desc.Digest.String() + "?inside"
	remove := fake.Inject(fakeregistry.Fault{
		If: func(req *http.Request) bool {
			_, _, authorized := req.BasicAuth()
			return authorized && req.URL.RawQuery == ""
		},
		Status: 302, Header: map[string]string{"Location": inside},
	})
	r := repo(t, fake, Options{Username: "alice", Password: "secret"})
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("within the origin: %q, %v", got, err)
	}
	remove()

	outside := fakeregistry.New()
	outside.Inject(to("http://" + r.registry.host + inside))
	fault := to("http://" + serve(t, outside) + "/v2/x/blobs/y")
	fault.If = func(req *http.Request) bool { return req.URL.RawQuery == "" }
	fake.Inject(fault)
	fake.Reset()
	_, _, err := fetch(r.Blob(desc), 0, 4)
	wantStatus(t, err, 401)
	for _, request := range append(outside.Requests(), fake.Requests()...) {
		if got := request.Header.Get("Authorization"); got != "" && request.Query.Has("inside") {
			t.Errorf("%s %s saw Authorization", request.Host, request.Path)
		}
	}
	for _, request := range outside.Requests() {
		if request.Header.Get("Authorization") != "" {
			t.Error("another origin saw Authorization")
		}
	}
}

// Not even a credential of its own is sent to where a blob is redirected to: it
// was the registry that chose the place.
func TestRedirectTargetAsksForCredentials(t *testing.T) {
	outside := fakeregistry.New()
	outside.RequireBasic("alice", "secret")
	outsideHost := serve(t, outside)
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(to("http://" + outsideHost + "/v2/x/blobs/y"))
	file := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, file, outsideHost, "alice", "secret")
	_, _, err := fetch(repo(t, fake, Options{RegistryConfigs: []string{file}}).Blob(desc), 0, 4)
	wantStatus(t, err, 401)
	for _, request := range outside.Requests() {
		if request.Header.Get("Authorization") != "" {
			t.Error("the target saw Authorization")
		}
	}
}

// The token service may be elsewhere, for blobs as for all else.
func TestRedirectedTokenService(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("", "", "", true)
	desc := fake.AddBlob("app", alphabet)
	r := repo(t, fake, Options{})
	fake.Inject(fakeregistry.Fault{
		Path:   "/token",
		If:     func(req *http.Request) bool { return req.Host == r.registry.host },
		Status: 307, Header: map[string]string{"Location": tokenService(t, fake) + "?scope=repository:app:pull"},
	})
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Documents are redirected as well: the signature must not be told.
func TestRedirectedManifest(t *testing.T) {
	var seen []*http.Request
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen = append(seen, req)
		http.Error(w, "no", http.StatusTeapot)
	}))
	defer storage.Close()
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	fake.Inject(fakeregistry.Fault{
		Path:   "/v2/app/",
		If:     func(req *http.Request) bool { return req.Header.Get("Authorization") != "" },
		Status: 307, Header: map[string]string{"Location": storage.URL + "/x?sig=hidden"},
	})
	r := repo(t, fake, Options{Username: "alice", Password: "secret"})
	_, manifestErr := r.Manifest(t.Context(), digest.FromBytes(alphabet))
	tagsErr := r.Tags(t.Context(), func([]string) error { return nil })
	for _, err := range []error{manifestErr, tagsErr} {
		wantStatus(t, err, http.StatusTeapot)
		if strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), storage.URL+"/x") {
			t.Errorf("error %v", err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d requests, want 2", len(seen))
	}
	for _, req := range seen {
		if req.Header.Get("Authorization")+req.Header.Get("Referer") != "" {
			t.Error("another origin saw Authorization or Referer")
		}
	}
	storage.Close()
	_, err := r.Manifest(t.Context(), digest.FromBytes(alphabet))
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("unreachable target: error %v", err)
	}
}

// TestRedirectToPlainHTTP has a registry with TLS that redirects to where there is
// none: blobs go there where any certificate is good enough, without a credential,
// and nothing else does.
func TestRedirectToPlainHTTP(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	blob, manifest := fake.AddBlob("app", alphabet), fake.AddArtifact("app", "v1", "", nil)
	cdn := fake.NewCDN()
	fake.RedirectBlobs(cdn, "http://"+serve(t, cdn))
	host, caFile := tlsServer(t, fake)
	login := Options{Username: "alice", Password: "secret"}

	strict := login
	strict.CAFile = caFile
	_, _, err := fetch(repoOf(t, dial(t, host, strict), "app").Blob(blob), 0, 4)
	if err == nil || !strings.Contains(err.Error(), "from https to http") || cdn.Count("", "") != 0 {
		t.Errorf("with a certificate: %v, %d requests", err, cdn.Count("", ""))
	}

	insecure := login
	insecure.Insecure = true
	r := repoOf(t, dial(t, host, insecure), "app")
	got, _, err := fetch(r.Blob(blob), 0, 4)
	if err != nil || got != "abcd" || cdn.Count("", "") != 1 {
		t.Errorf("insecure: %q, %v, %d requests", got, err, cdn.Count("", ""))
	}
	redirected{cdn: cdn, log: new(bytes.Buffer)}.noSecrets(t, err)
	fake.Inject(fakeregistry.Fault{Path: "/manifests/", Status: http.StatusFound, Header: map[string]string{"Location": "http://" + serve(t, fake) + "/v2/app/manifests/v1"}})
	if _, err := r.Manifest(t.Context(), manifest.Digest); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("a manifest: %v", err)
	}
	fake.RedirectBlobs(cdn, "ftp://example.com")
	other := fake.AddBlob("app", []byte("other"))
	if _, _, err := fetch(r.Blob(other), 0, 4); err == nil || !strings.Contains(err.Error(), "neither http nor https") {
		t.Errorf("another scheme: %v", err)
	}
}

// TestRedirectToItselfInTheClear has a registry that redirects a blob to its own name
// without TLS: the credential stays behind.
func TestRedirectToItselfInTheClear(t *testing.T) {
	r := repo(t, fakeregistry.New(), Options{Insecure: true, Username: "alice", Password: "secret"})
	from, to := *r.registry.origin, *r.registry.origin
	from.Scheme, to.Scheme = "https", "http"
	if err := r.checkBlobRedirect(&from, &to); err != nil || sameOrigin(&from, &to) {
		t.Errorf("%v, and the same origin: %v", err, sameOrigin(&from, &to))
	}
	to.User = url.User("alice")
	if err := r.checkBlobRedirect(&from, &to); err == nil {
		t.Error("an address that names a user is taken")
	}
}
