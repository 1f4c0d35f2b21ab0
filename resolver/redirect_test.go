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

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A redirected is a registry with a CDN.
type redirected struct {
	fake *fakeregistry.Registry
	cdn  *fakeregistry.CDN
	repo *Repository
	log  *bytes.Buffer
}

// redirect serves a registry that needs a password and redirects its blobs.
func redirect(t *testing.T) redirected {
	t.Helper()
	r := redirected{fake: fakeregistry.New(), log: new(bytes.Buffer)}
	r.fake.RequireBasic("alice", "secret")
	r.cdn = r.fake.NewCDN()
	r.fake.RedirectBlobs(r.cdn, "http://"+serve(t, r.cdn))
	r.repo = repo(t, r.fake, Options{Username: "alice", Password: "secret", Log: debugLog(r.log)})
	return r
}

// noSecrets fails if the CDN saw a credential, or if an error or the log holds
// one.
func (r redirected) noSecrets(t *testing.T, err error) {
	t.Helper()
	for _, request := range r.cdn.Requests() {
		for _, header := range []string{"Authorization", "Cookie", "Referer"} {
			if got := request.Header.Get(header); got != "" {
				t.Errorf("the CDN saw %s: %s", header, got)
			}
		}
	}
	for _, text := range []string{fmt.Sprint(err), r.log.String()} {
		for _, secret := range []string{fakeregistry.Secret, fakeregistry.Signature, "secret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q holds %q", text, secret)
			}
		}
	}
}

func TestRedirectIsRemembered(t *testing.T) {
	r := redirect(t)
	desc := r.fake.AddBlob("app", alphabet)
	for off := range int64(3) {
		got, at, err := fetch(r.repo.Blob(desc), off, 4)
		if want := string(alphabet[off : off+4]); got != want || at != off || err != nil {
			t.Errorf("%q from %d, %v; want %q", got, at, err, want)
		}
	}
	// The registry: once without a password, once with it.
	if n := r.fake.Count("GET", "/blobs/"); n != 2 {
		t.Errorf("the registry was asked %d times, want 2", n)
	}
	if n := r.cdn.Count("GET", ""); n != 3 {
		t.Errorf("the CDN was asked %d times, want 3", n)
	}
	for i, request := range r.cdn.Requests() {
		if got, want := request.Header.Get("Range"), fmt.Sprintf("bytes=%d-%d", i, i+3); got != want {
			t.Errorf("Range %q, want %q", got, want)
		}
		if got := request.Header.Get("User-Agent"); got != "orasfs" {
			t.Errorf("User-Agent %q", got)
		}
	}
	r.noSecrets(t, nil)
}

func TestRedirectExpires(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		r := redirect(t)
		desc := r.fake.AddBlob("app", alphabet)
		if _, _, err := fetch(r.repo.Blob(desc), 0, 4); err != nil {
			t.Fatal(err)
		}
		r.fake.Reset()
		r.cdn.Expire()
		r.cdn.Inject(fakeregistry.Fault{Status: status, Times: 1})
		got, at, err := fetch(r.repo.Blob(desc), 4, 4)
		if got != "efgh" || at != 4 || err != nil {
			t.Errorf("%d: %q from %d, %v", status, got, at, err)
		}
		if n := r.fake.Count("GET", "/blobs/"); n != 1 {
			t.Errorf("%d: the registry was asked %d times, want 1", status, n)
		}
		r.noSecrets(t, err)
	}
}

// A CDN that refuses what the registry has just signed is asked once for the range,
// and once for the whole.
func TestRedirectTargetRefuses(t *testing.T) {
	r := redirect(t)
	desc := r.fake.AddBlob("app", alphabet)
	if _, _, err := fetch(r.repo.Blob(desc), 0, 4); err != nil {
		t.Fatal(err)
	}
	r.fake.Reset()
	r.cdn.Reset()
	r.cdn.Inject(fakeregistry.Fault{Status: 403})
	_, _, err := fetch(r.repo.Blob(desc), 4, 4)
	wantStatus(t, err, 403)
	if n, m := r.fake.Count("GET", ""), r.cdn.Count("GET", ""); n != 2 || m != 3 {
		t.Errorf("the registry was asked %d times, the CDN %d, want 2 and 3", n, m)
	}
	r.noSecrets(t, err)
}

func TestRedirectTargetFails(t *testing.T) {
	for _, fault := range []fakeregistry.Fault{{Status: 502}, {Reset: true}} {
		r := redirect(t)
		desc := r.fake.AddBlob("app", alphabet)
		r.cdn.Inject(fault)
		_, _, err := fetch(r.repo.Blob(desc), 0, 4)
		if err == nil {
			t.Fatal("no error")
		}
		if n := r.cdn.Count("GET", "/storage/"); n != maxRetries+1 { // a probe asks for nothing
			t.Errorf("the CDN was asked %d times, want %d", n, maxRetries+1)
		}
		r.noSecrets(t, err)
	}
}

// Every hop answers in time, and all of them together don't.
func TestRedirectsAreBoundedInTime(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(shortTimeout / 2)
		http.Redirect(w, req, req.URL.Path, http.StatusFound)
	}))
	defer server.Close()
	r := repoOf(t, dial(t, server.Listener.Addr().String(), Options{Timeout: shortTimeout}), "app")
	_, _, err := fetch(r.Blob(ocispec.Descriptor{Digest: sha256Digest, Size: 12}), 0, 4)
	wantIs(t, err, context.DeadlineExceeded)
	if !strings.Contains(fmt.Sprint(err), (2 * shortTimeout).String()) {
		t.Errorf("error %v doesn't say how long it took", err)
	}
}

func TestRedirectTargetIgnoresRange(t *testing.T) {
	r := redirect(t)
	desc := r.fake.AddBlob("app", alphabet)
	r.cdn.Inject(fakeregistry.Fault{IgnoreRange: true})
	if got, at, err := fetch(r.repo.Blob(desc), 4, 4); got != string(alphabet) || at != 0 || err != nil {
		t.Errorf("%q from %d, %v", got, at, err)
	}
}

func TestRedirectMemoryIsBounded(t *testing.T) {
	r := redirect(t)
	for i := range maxTargets + 10 {
		desc := r.fake.AddBlob("app", fmt.Appendf(nil, "blob %d", i))
		if _, _, err := fetch(r.repo.Blob(desc), 0, 4); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.repo.registry.targets.Len(); n != maxTargets {
		t.Errorf("%d targets are remembered, want %d", n, maxTargets)
	}
}
