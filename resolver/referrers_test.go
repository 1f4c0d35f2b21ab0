package resolver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Referrers come from the API, or from the tag in its place, and only those of
// the type that is asked for.
func TestReferrers(t *testing.T) {
	const wanted = "application/vnd.wanted"
	for _, api := range []bool{true, false} {
		fake := fakeregistry.New()
		subject := fake.AddArtifact("app", "v1", "application/vnd.example", nil)
		var index ocispec.Index
		index.SchemaVersion, index.MediaType = 2, ocispec.MediaTypeImageIndex
		for _, artifactType := range []string{wanted, "application/vnd.other"} {
			desc := fake.AddArtifact("app", "", artifactType, nil)
			desc.ArtifactType = artifactType
			index.Manifests = append(index.Manifests, desc)
			if api {
				fake.AddReferrer("app", subject.Digest, desc)
			}
		}
		if !api {
			content, err := json.Marshal(index)
			if err != nil {
				t.Fatal(err)
			}
			fake.AddManifest("app", strings.Replace(subject.Digest.String(), ":", "-", 1), index.MediaType, content)
		}
		found, err := repo(t, fake, Options{}).Referrers(t.Context(), subject, wanted)
		if err != nil || len(found) != 1 || found[0].Digest != index.Manifests[0].Digest {
			t.Errorf("API %v: %v, %v; want %s", api, found, err, index.Manifests[0].Digest)
		}
	}
}

// Referrers come in pages, of all types where a registry doesn't filter, and a
// page may hold none of those that are asked for.
func TestReferrersPages(t *testing.T) {
	fake := fakeregistry.New()
	subject := fake.AddArtifact("app", "v1", "application/vnd.example", nil)
	want := map[digest.Digest]bool{}
	for i := range 25 {
		artifactType := fmt.Sprintf("application/vnd.%d", i%2)
		desc := fake.AddArtifact("app", "", artifactType, map[string]string{"no": fmt.Sprint(i)})
		desc.ArtifactType = artifactType
		fake.AddReferrer("app", subject.Digest, desc)
		if i%2 == 0 {
			want[desc.Digest] = true
		}
	}
	for _, listing := range []fakeregistry.Listing{{MaxPage: 10}, {MaxPage: 1, IgnoreType: true}, {MaxPage: 7, UnquotedRel: true}, {MaxPage: 7, AbsoluteLink: true}} {
		fake.SetListing(listing)
		found, err := repo(t, fake, Options{}).Referrers(t.Context(), subject, "application/vnd.0")
		got := map[digest.Digest]bool{}
		for _, desc := range found {
			got[desc.Digest] = true
		}
		if err != nil || !maps.Equal(got, want) || len(found) != len(want) {
			t.Errorf("%+v: %d of %d, %v", listing, len(found), len(want), err)
		}
	}
	// Pages that repeat end.
	fake.SetListing(fakeregistry.Listing{MaxPage: 5, IgnoreLast: true})
	fake.Reset()
	if found, err := repo(t, fake, Options{}).Referrers(t.Context(), subject, ""); err == nil || fake.Count("", "/referrers/") > 2 {
		t.Errorf("pages that repeat give %d referrers by %d requests", len(found), fake.Count("", "/referrers/"))
	}
}

// A registry that refuses the API is asked for the tag in its place: then what is
// there counts, and so does a refusal of that.
func TestReferrersAPIRefused(t *testing.T) {
	for _, status := range []int{400, 401, 403, 405, 501} {
		fake := fakeregistry.New()
		subject := fake.AddArtifact("app", "v1", "application/vnd.example", nil)
		referrer := fake.AddArtifact("app", "", "application/vnd.referrer", nil)
		index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{referrer}})
		if err != nil {
			t.Fatal(err)
		}
		fake.AddManifest("app", strings.Replace(subject.Digest.String(), ":", "-", 1), ocispec.MediaTypeImageIndex, index)
		fake.Inject(fakeregistry.Fault{Path: "/referrers/", Status: status})
		var log bytes.Buffer
		r := repo(t, fake, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 2 {
			found, err := r.Referrers(t.Context(), subject, "")
			if err != nil || len(found) != 1 || found[0].Digest != referrer.Digest {
				t.Errorf("%d: %v, %v; want %s", status, found, err, referrer.Digest)
			}
			if found, err := r.Referrers(t.Context(), referrer, ""); err != nil || len(found) != 0 {
				t.Errorf("%d: of what nothing refers to %v, %v", status, found, err)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d: %d warnings:\n%s", status, n, log.String())
		}
		fake.Inject(fakeregistry.Fault{Path: "/manifests/", Status: 403})
		_, err = r.Referrers(t.Context(), subject, "")
		wantStatus(t, err, 403)
	}
}

// What may pass isn't taken for a registry without the API.
func TestReferrersAPIFails(t *testing.T) {
	fake := fakeregistry.New()
	subject := fake.AddArtifact("app", "v1", "application/vnd.example", nil)
	for _, status := range []int{408, 429, 500} {
		remove := fake.Inject(fakeregistry.Fault{Path: "/referrers/", Status: status})
		_, err := repo(t, fake, Options{}).Referrers(t.Context(), subject, "")
		wantStatus(t, err, status)
		remove()
	}
	if n := fake.Count("", "/manifests/"); n != 0 {
		t.Errorf("%d requests for a tag", n)
	}
}

func TestNoReferrers(t *testing.T) {
	fake := fakeregistry.New()
	subject := fake.AddArtifact("app", "v1", "application/vnd.example", nil)
	r := repo(t, fake, Options{})
	if found, err := r.Referrers(t.Context(), subject, ""); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	fake.Inject(fakeregistry.Fault{Status: 403})
	_, err := r.Referrers(t.Context(), subject, "")
	wantStatus(t, err, 403)
}
