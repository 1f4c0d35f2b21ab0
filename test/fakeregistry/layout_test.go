package fakeregistry

import (
	"encoding/json"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// addTestdata adds one of the layouts of test/testdata.
func addTestdata(t *testing.T, r *Registry, name string) iofs.FS {
	t.Helper()
	layout, err := OpenLayout(filepath.Join("..", "testdata", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddLayout("app", layout); err != nil {
		t.Fatal(err)
	}
	return layout
}

// TestLayout serves each blob and manifest of layouts that real tools made, at
// the address where a client looks for it.
func TestLayout(t *testing.T) {
	for name, tags := range map[string][]string{
		"base-gzip":      {"latest"},
		"multi":          {"latest"},
		"docker-schema2": {"list", "tiny"},
		"tar-dialects":   {"gnu-sparse", "latest"},
		"artifact":       {"dir", "nofiles", "oci10", "several", "single", "targz"},
	} {
		t.Run(name, func(t *testing.T) {
			r := New()
			layout := addTestdata(t, r, name)
			if err := iofs.WalkDir(layout, "blobs", func(path string, entry iofs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				d := digest.NewDigestFromEncoded(digest.SHA256, entry.Name())
				w, content := get(t, r, "/v2/app/blobs/"+d.String())
				if w.Code != 200 {
					w, content = get(t, r, "/v2/app/manifests/"+d.String(), "Accept", "*/*")
				}
				if w.Code != 200 || digest.FromString(content) != d {
					t.Errorf("%s: status %d, %d bytes", path, w.Code, len(content))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			var list struct{ Tags []string }
			_, answer := get(t, r, "/v2/app/tags/list")
			if err := json.Unmarshal([]byte(answer), &list); err != nil || !slices.Equal(list.Tags, tags) {
				t.Errorf("tags: %s %v", answer, err)
			}
			for _, tag := range tags {
				w, content := get(t, r, "/v2/app/manifests/"+tag, "Accept", strings.Join(manifestTypes, ","))
				if w.Code != 200 || !strings.HasPrefix(content, "{") || !slices.Contains(manifestTypes, w.Header().Get("Content-Type")) {
					t.Errorf("%s: status %d, %s", tag, w.Code, w.Header().Get("Content-Type"))
				}
			}
		})
	}
}

// TestLayoutReferrers finds what has a subject by that.
func TestLayoutReferrers(t *testing.T) {
	for name, want := range map[string]struct {
		tag   string
		types []string
	}{
		"base-soci-v1": {"latest", []string{"application/vnd.amazon.soci.index.v1+json"}},
		"artifact":     {"single", []string{"application/spdx+json", "application/vnd.orasfs.scan.v1+json"}},
	} {
		r := New()
		addTestdata(t, r, name)
		w, _ := get(t, r, "/v2/app/manifests/"+want.tag, "Accept", "*/*")
		var index ocispec.Index
		_, answer := get(t, r, "/v2/app/referrers/"+w.Header().Get("Docker-Content-Digest"))
		if err := json.Unmarshal([]byte(answer), &index); err != nil {
			t.Fatalf("%s: %v: %s", name, err, answer)
		}
		var types []string
		for _, referrer := range index.Manifests {
			types = append(types, referrer.ArtifactType)
		}
		slices.Sort(types)
		if !slices.Equal(types, want.types) {
			t.Errorf("%s:%s has the referrers %q, not %q", name, want.tag, types, want.types)
		}
	}
}
