package resolver

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestBlobSize(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*fakeregistry.Registry)
		want    map[string]int // requests by method
	}{
		{"HEAD", func(*fakeregistry.Registry) {}, map[string]int{"HEAD": 1, "GET": 0}},
		{"no HEAD", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
		}, map[string]int{"HEAD": 1, "GET": 1}},
		{"a HEAD that fails", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Status: 500})
		}, map[string]int{"HEAD": 1, "GET": 1}},
		{"HEAD without length", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Header: map[string]string{"Content-Length": ""}})
		}, map[string]int{"HEAD": 1, "GET": 1}},
		{"no HEAD, no ranges", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
			r.Inject(fakeregistry.Fault{Method: "GET", IgnoreRange: true})
		}, map[string]int{"HEAD": 1, "GET": 1}},
		{"no HEAD, ranges refused", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
			r.Inject(fakeregistry.Fault{Status: 403, If: ranged})
		}, map[string]int{"HEAD": 1, "GET": 2}},
		{"no HEAD, a range that says nothing", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
			r.Inject(fakeregistry.Fault{Status: 206, Body: []byte("a"), If: ranged})
		}, map[string]int{"HEAD": 1, "GET": 2}},
		{"a label", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Header: map[string]string{"Content-Encoding": "aws-chunked"}})
		}, map[string]int{"HEAD": 1, "GET": 0}},
		{"HEAD that may tell the size of something else", func(r *fakeregistry.Registry) {
			r.Inject(fakeregistry.Fault{Method: "HEAD", Header: map[string]string{"Content-Encoding": "gzip", "Content-Length": "40"}})
		}, map[string]int{"HEAD": 1, "GET": 1}},
		{"redirect to where HEAD is refused", func(r *fakeregistry.Registry) {
			cdn := r.NewCDN()
			cdn.Inject(fakeregistry.Fault{Method: "HEAD", Status: 403})
			r.RedirectBlobs(cdn, "http://"+serve(t, cdn))
		}, map[string]int{"HEAD": 1, "GET": 1}},
	}
	for _, test := range tests {
		for _, content := range [][]byte{alphabet, nil} {
			fake := fakeregistry.New()
			desc := fake.AddBlob("app", content)
			test.prepare(fake)
			r := repo(t, fake, Options{})
			size, err := r.BlobSize(t.Context(), desc.Digest)
			if err != nil || size != desc.Size {
				t.Errorf("%s: %d, %v; want %d", test.name, size, err, desc.Size)
			}
			for method, want := range test.want {
				if got := fake.Count(method, "/blobs/"); got != want {
					t.Errorf("%s: %d requests by %s, want %d", test.name, got, method, want)
				}
			}
		}
	}
}

func TestBlobSizeMissing(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("app")
	r := repo(t, fake, Options{})
	_, err := r.BlobSize(t.Context(), digest.FromBytes(alphabet))
	wantIs(t, err, errdef.ErrNotFound)
	if n := fake.Count("", ""); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	_, err = r.BlobSize(t.Context(), "sha256:x")
	wantIs(t, err, errdef.ErrInvalidReference)
}

// HEAD may tell the length of its answer, which has no body: no blob but the empty one
// has so many bytes.
func TestBlobSizeOfNoBody(t *testing.T) {
	for _, content := range [][]byte{alphabet, nil} {
		fake := fakeregistry.New()
		desc := fake.AddBlob("app", content)
		fake.Inject(fakeregistry.Fault{Method: "HEAD", Header: map[string]string{"Content-Length": "0"}})
		size, err := repo(t, fake, Options{}).BlobSize(t.Context(), desc.Digest)
		if err != nil || size != desc.Size {
			t.Errorf("%d, %v; want %d", size, err, desc.Size)
		}
		if n, want := fake.Count("GET", ""), min(len(content), 1); n != want {
			t.Errorf("%d bytes: %d requests by GET, want %d", len(content), n, want)
		}
	}
}
