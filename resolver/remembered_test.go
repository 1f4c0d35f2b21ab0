package resolver

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A remembered target that fails, in whatever way, isn't tried again before the
// registry was asked, which may name another.
func TestRememberedTargetThatFails(t *testing.T) {
	t.Parallel()
	faults := map[string]fakeregistry.Fault{
		"500": {Status: 500}, "reset": {Reset: true}, "stall": {Stall: true}, "429 for hours": {Status: 429, Header: map[string]string{"Retry-After": "36000"}},
		"wrong range": {Header: map[string]string{"Content-Range": "bytes 1-2/26"}},
	}
	for name, fault := range faults {
		for _, another := range []bool{true, false} {
			r := redirect(t)
			desc := r.fake.AddBlob("app", alphabet)
			r.repo = repoOf(t, dial(t, r.repo.registry.host, Options{Username: "alice", Password: "secret", Log: debugLog(r.log), Timeout: answerTimeout}), "app")
			if _, _, err := fetch(r.repo.Blob(desc), 0, 4); err != nil {
				t.Fatal(err)
			}
			r.fake.Reset()
			r.cdn.Reset()
			if another {
				other := r.fake.NewCDN()
				r.fake.RedirectBlobs(other, "http://"+serve(t, other))
			} else {
				fault.Times = 1
				if fault.Reset {
					fault.Times = 2 // net/http itself replaces a connection that was idle
				}
			}
			r.cdn.Inject(fault)
			got, _, err := fetch(r.repo.Blob(desc), 4, 4)
			if held := !another && name == "429 for hours"; held {
				wantStatus(t, err, 429) // what the registry names has asked to be left alone
			} else if got != "efgh" || err != nil {
				t.Errorf("%s, another target %v: %q, %v", name, another, got, err)
			}
			if n := r.fake.Count("GET", "/blobs/"); n != 1 {
				t.Errorf("%s, another target %v: the registry was asked %d times, want 1", name, another, n)
			}
			r.noSecrets(t, err)
		}
	}
}

// A node that is gone is asked for nothing more once the registry has named
// another.
func TestRememberedTargetThatIsGone(t *testing.T) {
	r := redirect(t)
	gone := httptest.NewServer(r.cdn)
	r.fake.RedirectBlobs(r.cdn, gone.URL)
	var all []ocispec.Descriptor
	for i := range 3 {
		desc := r.fake.AddBlob("app", fmt.Appendf(nil, "blob %d", i))
		all = append(all, desc)
		if _, _, err := fetch(r.repo.Blob(desc), 0, 6); err != nil {
			t.Fatal(err)
		}
	}
	gone.Close()
	other := r.fake.NewCDN()
	r.fake.RedirectBlobs(other, "http://"+serve(t, other))
	for i, desc := range all {
		if got, _, err := fetch(r.repo.Blob(desc), 0, 6); got != fmt.Sprint("blob ", i) || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if text := r.log.String(); !strings.Contains(text, "is down since") || strings.Contains(text, "sent again") {
		t.Errorf("log:\n%s", text)
	}
	r.noSecrets(t, nil)
}
