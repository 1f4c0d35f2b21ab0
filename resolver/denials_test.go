package resolver

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Who is denied and asks again at once, over and over, makes one request.
func TestDenialsAreRemembered(t *testing.T) {
	tests := []struct {
		name     string
		prepare  func(*fakeregistry.Registry)
		options  Options
		status   int
		requests int // for all of Resolve, Manifest, BlobSize and Fetch
	}{
		{"missing", func(*fakeregistry.Registry) {}, Options{}, 404, 6},
		{"forbidden", func(r *fakeregistry.Registry) { r.Inject(fakeregistry.Fault{Status: 403}) }, Options{}, 403, 6},
		{"no credential", func(r *fakeregistry.Registry) { r.RequireBasic("alice", "secret") }, Options{}, 401, 4},
		{"wrong credential", func(r *fakeregistry.Registry) { r.RequireBasic("alice", "secret") }, Options{Username: "alice", Password: "x"}, 401, 8},
		{"no token", func(r *fakeregistry.Registry) { r.RequireBearer("alice", "secret", "", false) }, Options{}, 401, 8},
	}
	missing := ocispec.Descriptor{Digest: digest.FromBytes(alphabet), Size: 26}
	for _, test := range tests {
		fake := fakeregistry.New()
		fake.AddRepositories("app")
		test.prepare(fake)
		r := repo(t, fake, test.options)
		r.registry.denials.lasts = time.Hour
		for range 20 {
			_, err := r.Resolve(t.Context(), "v1")
			wantStatus(t, err, test.status)
			_, err = r.Manifest(t.Context(), missing.Digest)
			wantStatus(t, err, test.status)
			if test.status == 404 {
				wantIs(t, err, errdef.ErrNotFound)
			}
			_, err = r.BlobSize(t.Context(), missing.Digest)
			wantStatus(t, err, test.status)
			_, _, err = fetch(r.Blob(missing), 0, 4)
			wantStatus(t, err, test.status)
		}
		if n := fake.Count("", ""); n != test.requests {
			t.Errorf("%s: %d requests, want %d", test.name, n, test.requests)
		}
	}
}

// What is pushed a moment later is seen, and the challenge before a token isn't
// a denial.
func TestDenialsPass(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	fake.AddRepositories("app")
	r := repo(t, fake, Options{Username: "alice", Password: "secret"})
	r.registry.denials.lasts = 20 * time.Millisecond
	_, err := r.Resolve(t.Context(), "v1")
	wantIs(t, err, errdef.ErrNotFound)
	fake.AddArtifact("app", "v1", "", nil)
	time.Sleep(40 * time.Millisecond)
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	fake.ExpireTokens()
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Errorf("after the token expired: %v", err)
	}
}
