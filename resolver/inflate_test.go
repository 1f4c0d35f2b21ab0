package resolver

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestCompressedDocuments has a front that compresses whatever it sends, says so in
// several ways or not at all, or says it of what it doesn't compress: tokens,
// documents and lists are read all the same, and nobody asks for a compressed answer.
func TestCompressedDocuments(t *testing.T) {
	label := func(s string) map[string]string { return map[string]string{"Content-Encoding": s} }
	for name, fault := range map[string]fakeregistry.Fault{
		"compressed":           {Gzip: true},
		"compressed, x-gzip":   {Gzip: true, Header: label("x-gzip")},
		"compressed, no label": {Gzip: true, Header: label("")}, // HEAD can't know then,
		"compressed, of no known length": {Gzip: true, Drip: 1,
			Header: map[string]string{"Content-Length": ""}},
		"a label of gzip":   {Header: label("gzip")},
		"a label of chunks": {Header: label("aws-chunked")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := fakeregistry.New()
			fake.RequireBearer("alice", "secret", "", false)
			desc := fake.AddArtifact("app", "v1", "", nil)
			fake.AddReferrer("app", desc.Digest, fake.AddArtifact("app", "", "application/x", nil))
			fake.Inject(fault)
			r := repo(t, fake, Options{Username: "alice", Password: "secret"})
			for _, reference := range []string{"v1", desc.Digest.String()} {
				if got, err := r.Resolve(t.Context(), reference); err != nil || got.Digest != desc.Digest || got.Size != desc.Size && fault.Header["Content-Encoding"] != "" {
					t.Errorf("%s: %+v, %v", reference, got, err)
				}
			}
			if content, err := r.Manifest(t.Context(), desc.Digest); err != nil || int64(len(content)) != desc.Size {
				t.Errorf("manifest: %q, %v", content, err)
			}
			if tags := tagsOf(t, r); len(tags) != 1 || tags[0] != "v1" {
				t.Errorf("tags %q", tags)
			}
			if found, err := r.Referrers(t.Context(), desc, ""); err != nil || len(found) != 1 {
				t.Errorf("referrers %v, %v", found, err)
			}
			if err := r.registry.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := r.Resolve(t.Context(), "v2"); err == nil || !strings.Contains(err.Error(), "manifest unknown") && statusOf(err) != 404 {
				t.Errorf("what isn't there: %v", err)
			}
			for _, request := range fake.Requests() {
				if got := request.Header.Get("Accept-Encoding"); got != "identity" {
					t.Errorf("%s %s: Accept-Encoding %q", request.Method, request.Path, got)
				}
			}
		})
	}
}

// A document or a list that becomes large when it is inflated is one that is large.
func TestCompressedBomb(t *testing.T) {
	var bomb bytes.Buffer
	compressor := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(compressor, endless(' '), 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := compressor.Close(); err != nil {
		t.Fatal(err)
	}
	fake := fakeregistry.New()
	desc := fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Status: http.StatusOK, Body: bomb.Bytes()})
	r := repo(t, fake, Options{})
	_, err := r.Manifest(t.Context(), desc.Digest)
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
	err = r.Tags(t.Context(), func([]string) error { return nil })
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
}

// endless is one byte, over and over.
type endless byte

// Read implements io.Reader.
func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}
