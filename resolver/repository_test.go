package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestResolve(t *testing.T) {
	tests := []struct {
		name      string
		fault     fakeregistry.Fault
		head, get int // requests for a tag
		byDigest  int // GETs for a digest
	}{
		{name: "HEAD", head: 1},
		{name: "no digest", fault: fakeregistry.Fault{Header: map[string]string{"Docker-Content-Digest": ""}}, head: 1, get: 1},
		{name: "invalid digest", fault: fakeregistry.Fault{Header: map[string]string{"Docker-Content-Digest": "sha256:x"}}, head: 1, get: 1},
		{name: "no length", fault: fakeregistry.Fault{Method: "HEAD", Header: map[string]string{"Content-Length": ""}}, head: 1, get: 1, byDigest: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake := fakeregistry.New()
			want := fake.AddArtifact("app", "v1", "", nil)
			fake.Inject(test.fault)
			r := repo(t, fake, Options{})
			for reference, get := range map[string]int{"v1": test.get, want.Digest.String(): test.byDigest} {
				fake.Reset()
				got, err := r.Resolve(t.Context(), reference)
				if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
					t.Errorf("%s: %+v, %v; want %+v", reference, got, err, want)
				}
				if (got.Data != nil) != (get > 0) || (got.Data != nil && verify(got.Data, got.Digest) != nil) {
					t.Errorf("%s: data %q after %d GETs", reference, got.Data, get)
				}
				if n := fake.Count("HEAD", "/manifests/"); n != test.head {
					t.Errorf("%s: %d HEADs, want %d", reference, n, test.head)
				}
				if n := fake.Count("GET", "/manifests/"); n != get {
					t.Errorf("%s: %d GETs, want %d", reference, n, get)
				}
			}
		})
	}
}

// TestHeadIsWrong has HEAD refused where GET answers: GET is asked then, and from
// then on at once, if need be after another time.
func TestHeadIsWrong(t *testing.T) {
	for _, status := range []int{400, 403, 404, 405, 406, 500, 501} {
		fake := fakeregistry.New()
		want := fake.AddArtifact("app", "v1", "", nil)
		fake.Tag("app", want.Digest, "v2")
		fake.Inject(fakeregistry.Fault{Method: "HEAD", Status: status})
		r := repo(t, fake, Options{})
		for i, reference := range []string{"v1", "v1", "v2", want.Digest.String()} {
			got, err := r.Resolve(t.Context(), reference)
			if err != nil || got.Digest != want.Digest || got.Size != want.Size || verify(got.Data, want.Digest) != nil {
				t.Errorf("%d: %s: %+v, %v", status, reference, got, err)
			}
			heads := 1
			if i > 0 && (status == 403 || status == 404 || status == 500) {
				heads = 2
			}
			if n, m := fake.Count("HEAD", ""), fake.Count("GET", ""); n != heads || m != i+1 {
				t.Errorf("%d: after %d questions: %d HEADs, %d GETs", status, i+1, n, m)
			}
		}
		r.registry.manifestHeads.wrongUntil = time.Now()
		fake.Reset()
		if _, err := r.Resolve(t.Context(), "v1"); err != nil || fake.Count("HEAD", "") != 1 {
			t.Errorf("%d: later: %v, %d HEADs", status, err, fake.Count("HEAD", ""))
		}
	}
}

// TestHeadFailsOnce has a moment's failures: each costs a GET, and no more.
func TestHeadFailsOnce(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{})
	for i := range 3 {
		fake.Inject(fakeregistry.Fault{Method: "HEAD", Status: 500, Times: 1})
		for range 4 {
			if _, err := r.Resolve(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
		}
		if n, m := fake.Count("HEAD", ""), fake.Count("GET", ""); n != 4*(i+1) || m != i+1 {
			t.Errorf("after %d failures: %d HEADs, %d GETs", i+1, n, m)
		}
	}
}

// TestHeadIsRight has what isn't there, or is denied: that costs a GET once for each
// reference, and says nothing of others.
func TestHeadIsRight(t *testing.T) {
	for _, status := range []int{403, 404} {
		fake := fakeregistry.New()
		fake.AddArtifact("app", "v1", "", nil)
		fake.Inject(fakeregistry.Fault{Path: "gone", Status: status})
		r := repo(t, fake, Options{})
		r.registry.denials.lasts = 0
		for i, want := range []struct{ head, get int }{{1, 1}, {2, 1}, {3, 2}, {4, 2}} {
			reference := []string{"gone1", "gone2"}[i/2]
			_, err := r.Resolve(t.Context(), reference)
			wantStatus(t, err, status)
			if n, m := fake.Count("HEAD", ""), fake.Count("GET", ""); n != want.head || m != want.get {
				t.Errorf("%d: after %d questions: %d HEADs, %d GETs, want %+v", status, i+1, n, m, want)
			}
		}
		fake.Reset()
		if _, err := r.Resolve(t.Context(), "v1"); err != nil || fake.Count("GET", "") != 0 {
			t.Errorf("%d: what is there: %v, %d GETs", status, err, fake.Count("GET", ""))
		}
	}
	// A failure of both is that of GET, which is tried again, and HEAD isn't.
	fake := fakeregistry.New()
	fake.Inject(fakeregistry.Fault{Status: 500})
	r := repo(t, fake, Options{})
	r.registry.backoff = time.Millisecond
	_, err := r.Resolve(t.Context(), "v1")
	wantStatus(t, err, 500)
	if n, m := fake.Count("HEAD", ""), fake.Count("GET", ""); n != 1 || m != maxRetries+1 {
		t.Errorf("%d HEADs, %d GETs", n, m)
	}
}

func TestResolveAcceptsEveryKind(t *testing.T) {
	fake := fakeregistry.New()
	mediaTypes := []string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerList, mediaTypeArtifactManifest,
		"application/vnd.example+json",
	}
	r := repo(t, fake, Options{})
	for i, mediaType := range mediaTypes {
		tag := fmt.Sprint("v", i)
		want := fake.AddManifest("app", tag, mediaType, []byte(tag))
		if got, err := r.Resolve(t.Context(), tag); err != nil || got.Digest != want.Digest || got.MediaType != mediaType {
			t.Errorf("%s: %+v, %v", mediaType, got, err)
		}
	}
}

func TestResolveSHA512(t *testing.T) {
	fake := fakeregistry.New()
	content := []byte(`{"schemaVersion":2}`)
	d := digest.SHA512.FromBytes(content)
	fake.AddWrongManifest("app", ocispec.MediaTypeImageManifest, d, content)
	fake.Tag("app", d, "v1")
	fake.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
	r := repo(t, fake, Options{})
	if got, err := r.Resolve(t.Context(), "v1"); err != nil || got.Digest != d {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := r.Manifest(t.Context(), d); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestResolveFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{})
	_, err := r.Resolve(t.Context(), "v2")
	wantIs(t, err, errdef.ErrNotFound)
	fake.Reset()
	for _, reference := range []string{"", "v/1", "sha256:x", "md5:d41d8cd98f00b204e9800998ecf8427e", "..", "v1@" + sha256Digest} {
		_, err := r.Resolve(t.Context(), reference)
		wantIs(t, err, errdef.ErrInvalidReference)
	}
	if n := fake.Count("", ""); n != 0 {
		t.Errorf("%d requests for what is no reference", n)
	}

	// Another digest than was asked for, in the header or in the content.
	wrong := digest.FromBytes(alphabet)
	fake.AddWrongManifest("app", ocispec.MediaTypeImageManifest, wrong, []byte("{}"))
	remove := fake.Inject(fakeregistry.Fault{Header: map[string]string{"Docker-Content-Digest": sha256Digest}})
	if _, err := r.Resolve(t.Context(), wrong.String()); err == nil || !strings.Contains(err.Error(), sha256Digest) {
		t.Errorf("another digest in the header: error %v", err)
	}
	remove()
	fake.Inject(fakeregistry.Fault{Method: "HEAD", Status: 405})
	if _, err := r.Resolve(t.Context(), wrong.String()); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("another content: error %v", err)
	}
	fake.Tag("app", wrong, "v3")
	if _, err := r.Resolve(t.Context(), "v3"); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("another content than the header says: error %v", err)
	}
}

// TestManifestKind has documents come under media types that name their kind,
// another, or none, asked for whole and by HEAD: what says that the bytes are
// something else isn't taken, however often it is asked.
func TestManifestKind(t *testing.T) {
	const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	manifest := `{"schemaVersion":2,"mediaType":"` + image + `","layers":[]}`
	tests := []struct {
		header, content string
		refused         bool
	}{
		{image, manifest, false},
		{image + "; charset=utf-8", manifest, false},
		{mediaTypeDockerManifest, manifest, false}, // the same kind
		{"text/plain", manifest, false},
		{"text/html; charset=utf-8", manifest, false},
		{"binary/octet-stream", manifest, false},
		{"", manifest, false},
		{"???", manifest, false},
		{index, manifest, true},
		{mediaTypeDockerList + "; charset=utf-8", manifest, true},
		{mediaTypeDockerSchema1JWS, manifest, true},
		{image, `{"schemaVersion":2,"manifests":[]}`, true},
		{index, `{"schemaVersion":2,"manifests":[]}`, false},
		{index, `{"schemaVersion":1,"signatures":[]}`, true},
		// What says nothing of itself contradicts nobody.
		{image, `no JSON`, false},
		{image, `{"schemaVersion":2,"layers":[],"manifests":[]}`, false},
		{image, `{"mediaType":"application/vnd.example"}`, false},
	}
	for _, test := range tests {
		fake := fakeregistry.New()
		desc := fake.AddManifest("app", "v1", image, []byte(test.content))
		fake.Inject(fakeregistry.Fault{Header: map[string]string{"Content-Type": test.header}})
		r := repo(t, fake, Options{})
		for range 2 {
			content, err := r.Manifest(t.Context(), desc.Digest)
			if (err != nil) != test.refused || err == nil && string(content) != test.content {
				t.Errorf("%s with %s: %q, %v", test.header, test.content, content, err)
			}
			if test.refused && (!strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), DocumentType([]byte(test.content)))) {
				t.Errorf("error %v doesn't say what it is", err)
			}
		}
		told, err := r.Resolve(t.Context(), desc.Digest.String())
		if err != nil || (Contradiction(told.MediaType, []byte(test.content)) != nil) != test.refused {
			t.Errorf("%s with %s: HEAD says %+v, %v", test.header, test.content, told, err)
		}
	}
}

// TestDocumentType has the kinds by the bytes alone.
func TestDocumentType(t *testing.T) {
	for content, want := range map[string]string{
		`{"mediaType":"` + mediaTypeDockerManifest + `"}`:       mediaTypeDockerManifest,
		`{"mediaType":"Application/Vnd.Example; x=y"}`:          "application/vnd.example",
		`{"mediaType":"no type","schemaVersion":2,"layers":[]}`: mediaTypeAny,
		`{"schemaVersion":2,"config":{},"layers":[]}`:           typeManifest,
		`{"schemaVersion":2,"config":{},"manifests":null}`:      typeManifest,
		`{"schemaVersion":2,"manifests":[]}`:                    typeIndex,
		`{"schemaVersion":2,"manifests":[],"layers":[]}`:        mediaTypeAny,
		`{"config":{"Cmd":["sh"]},"rootfs":{}}`:                 mediaTypeAny, // an image's config
		`{"schemaVersion":1,"fsLayers":[]}`:                     mediaTypeDockerSchema1,
		`{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}`:   mediaTypeDockerSchema1JWS,
		`{"schemaVersion":2}`:                                   mediaTypeAny, `{}`: mediaTypeAny, `[]`: mediaTypeAny, ``: mediaTypeAny, `no JSON`: mediaTypeAny,
	} {
		if got := DocumentType([]byte(content)); got != want {
			t.Errorf("%s: %q, want %q", content, got, want)
		}
	}
}

func TestManifestIsBounded(t *testing.T) {
	fake := fakeregistry.New()
	largest := fake.AddManifest("app", "", ocispec.MediaTypeImageManifest, bytes.Repeat([]byte("x"), MaxManifest))
	larger := fake.AddManifest("app", "", ocispec.MediaTypeImageManifest, bytes.Repeat([]byte("x"), MaxManifest+1))
	r := repo(t, fake, Options{})
	if content, err := r.Manifest(t.Context(), largest.Digest); err != nil || len(content) != MaxManifest {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	fake.Reset()
	_, err := r.Manifest(t.Context(), larger.Digest)
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
	var network net.Error
	if errors.As(err, &network) {
		t.Errorf("error %v looks like the network's", err)
	}
	// Nor where the length isn't said beforehand.
	fake.Inject(fakeregistry.Fault{Header: map[string]string{"Content-Length": ""}})
	_, err = r.Manifest(t.Context(), larger.Digest)
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
	if n := fake.Count("", ""); n != 2 {
		t.Errorf("%d requests, want 2: it isn't going to shrink", n)
	}
}

func TestManifestFails(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{})
	_, err := r.Manifest(t.Context(), digest.FromBytes(alphabet))
	wantIs(t, err, errdef.ErrNotFound)
	_, err = r.Manifest(t.Context(), "sha256:x")
	wantIs(t, err, errdef.ErrInvalidReference)
	fake.Inject(fakeregistry.Fault{Flip: true, FlipAt: 3})
	if _, err := r.Manifest(t.Context(), desc.Digest); err == nil || !strings.Contains(err.Error(), desc.Digest.String()) {
		t.Errorf("a flipped byte: error %v", err)
	}
}

// What a registry says in its errors doesn't reach a terminal as it is.
func TestErrorsAreHarmless(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	body := []byte(`{"errors":[{"code":"DENIED\u001b[31m","message":"red\u001b]0;title\u0007 and \u202e, not caf\u00e9"}]}`)
	for _, path := range []string{"/v2/app", "/token"} {
		remove := fake.Inject(fakeregistry.Fault{Path: path, Status: 403, Body: body})
		_, err := repo(t, fake, Options{Username: "alice", Password: "secret"}).Resolve(t.Context(), sha256Digest)
		_, manifestErr := repo(t, fake, Options{Username: "alice", Password: "secret"}).Manifest(t.Context(), sha256Digest)
		var answer *errcode.ErrorResponse
		if !errors.As(manifestErr, &answer) {
			t.Fatal(manifestErr)
		}
		for _, text := range []string{fmt.Sprint(err), fmt.Sprint(manifestErr), answer.Error()} {
			if strings.ContainsAny(text, "\x1b\a\u202e") {
				t.Errorf("%s: %q", path, text)
			}
		}
		for _, word := range []string{`red\x1b]0;title\a`, "not café"} {
			if !strings.Contains(manifestErr.Error(), word) {
				t.Errorf("%s: error %v doesn't say %s", path, manifestErr, word)
			}
		}
		remove()
	}
}

func TestErrorsNameTheObject(t *testing.T) {
	fake := fakeregistry.New()
	fake.Inject(fakeregistry.Fault{Status: 418, Body: []byte(`{"errors":[{"code":"DENIED","message":"not today","detail":{"x":"yyy"}}]}`)})
	r := repo(t, fake, Options{})
	_, err := r.Manifest(t.Context(), sha256Digest)
	for _, word := range []string{"manifest " + sha256Digest, r.registry.host + "/app", "418", "not today"} {
		if !strings.Contains(fmt.Sprint(err), word) {
			t.Errorf("error %v doesn't say %q", err, word)
		}
	}
	if strings.Contains(fmt.Sprint(err), "yyy") {
		t.Errorf("error %v holds the registry's detail", err)
	}
}
