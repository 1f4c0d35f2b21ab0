package resolver

import (
	"encoding/json"
	"strings"
	"testing"

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
