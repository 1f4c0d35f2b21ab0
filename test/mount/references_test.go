package mount

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestReferences pastes references after the mountpoint, and walks to
// repositories at every depth.
func TestReferences(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	files := folder(t, hello)
	pushed := r.push(t, files, "hello-artifact:v1", "./artifact.txt")
	below := r.push(t, files, "hello-artifact/below/it:v1", "./artifact.txt") // another time may be in it
	r.push(t, files, "a/b/c:v1", "./artifact.txt")
	m := mountRegistry(t, r.host)

	t.Run("links", func(t *testing.T) {
		hex := hexOf(pushed)
		for path, want := range map[string]string{
			"hello-artifact:v1":                             "hello-artifact/_tags/v1",
			"hello-artifact@" + pushed:                      "hello-artifact/_manifests/sha256/" + hex,
			"a/b/c:v1":                                      "c/_tags/v1",
			"hello-artifact/_tags/v1":                       "../_manifests/sha256/" + hex,
			"hello-artifact/_manifests/v1":                  "../_tags/v1",
			"hello-artifact/_manifests/" + pushed:           "sha256/" + hex,
			"hello-artifact/_blobs/" + helloDigest:          "sha256/" + hexOf(helloDigest),
			"hello-artifact/below/it:v1":                    "it/_tags/v1",
			"hello-artifact/below/it@" + below:              "it/_manifests/sha256/" + hexOf(below),
			"hello-artifact/below/it/_blobs/" + helloDigest: "sha256/" + hexOf(helloDigest),
		} {
			if got := m.readlink(t, path); got != want {
				t.Errorf("%s is a link to %q, not to %q", path, got, want)
			}
		}
	})

	t.Run("content", func(t *testing.T) {
		if got, want := m.cat(t, "hello-artifact:v1/manifest.json"), orasIn(t, "", "manifest", "fetch", r.host+"/hello-artifact:v1"); got != want {
			t.Errorf("manifest.json is %q, not %q", got, want)
		}
		if got := m.ls(t, "hello-artifact@"+pushed+"/files/"); !slices.Equal(got, []string{"artifact.txt"}) {
			t.Errorf("files/ lists %q", got)
		}
		for _, path := range []string{
			"hello-artifact@" + pushed + "/files/artifact.txt",
			"hello-artifact/below/it:v1/files/artifact.txt",
			"hello-artifact/_manifests/v1/files/artifact.txt",
			"hello-artifact/_blobs/" + helloDigest,
			"a/b/c/_tags/v1/files/artifact.txt",
		} {
			if got := m.cat(t, path); got != "hello world\n" {
				t.Errorf("%s holds %q", path, got)
			}
		}
	})

	t.Run("listed", func(t *testing.T) {
		for path, want := range map[string][]string{
			"":                         {"a", "hello-artifact"},
			"a":                        {"b"},
			"a/b":                      {"c"},
			"a/b/c":                    {"_blobs", "_manifests", "_tags"},
			"hello-artifact":           {"_blobs", "_manifests", "_tags", "below"},
			"hello-artifact/below":     {"it"},
			"hello-artifact/_tags":     {"v1"},
			"hello-artifact/_tags/v1/": {"config.json", "files", "layers", "layout", "layout.tar", "manifest.json", "referrers"},
		} {
			if got := m.ls(t, path); !slices.Equal(got, want) {
				t.Errorf("/%s lists %q, not %q", path, got, want)
			}
		}
	})

	t.Run("not there", func(t *testing.T) {
		for _, path := range []string{
			"a/_tags", "a/_manifests", "a/b/_blobs", // namespaces
			"a:v1", "none", "none:v1", "hello-artifact:none", "hello-artifact/_tags/none",
			"hello-artifact@sha256:" + strings.Repeat("0", 64),
			"hello-artifact/_blobs/sha256/" + strings.Repeat("0", 64),
			"hello-artifact/_manifests/sha256/" + strings.Repeat("0", 64),
			"hello-artifact/_manifests/sha256/short",
			"hello-artifact:v1/none",
		} {
			fails(t, notThere, "cat", m.path(path))
		}
	})
}

// TestTargets mounts a part of a registry: a namespace, a repository.
func TestTargets(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	files := folder(t, hello)
	r.push(t, files, "a/b/c:v1", "./artifact.txt")
	r.push(t, files, "other:v1", "./artifact.txt")

	t.Run("namespace", func(t *testing.T) {
		m := mountRegistry(t, r.host+"/a")
		if got := m.ls(t); !slices.Equal(got, []string{"b"}) {
			t.Errorf("the namespace lists %q", got)
		}
		if got := m.cat(t, "b/c:v1/files/artifact.txt"); got != "hello world\n" {
			t.Errorf("the file holds %q", got)
		}
		fails(t, notThere, "ls", m.path("other"))
	})

	t.Run("repository", func(t *testing.T) {
		m := mountRegistry(t, r.host+"/a/b/c")
		if got, want := m.ls(t), []string{"_blobs", "_manifests", "_tags"}; !slices.Equal(got, want) {
			t.Errorf("the repository lists %q, not %q", got, want)
		}
		if got := m.cat(t, "_tags/v1/files/artifact.txt"); got != "hello world\n" {
			t.Errorf("the file holds %q", got)
		}
	})
}

// TestCatalogRefused opens repositories by name where the registry doesn't
// list them, as Docker Hub and GHCR don't.
func TestCatalogRefused(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	files := folder(t, hello)
	r.push(t, files, "hello-artifact:v1", "./artifact.txt")
	r.push(t, files, "a/b/c:v1", "./artifact.txt")

	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			f := startFront(t, r.host)
			f.refuseIf(func(r *http.Request) int {
				if r.URL.Path == "/v2/_catalog" {
					return code
				}
				return 0
			})
			m := mountRegistry(t, f.host)
			for _, path := range []string{
				"hello-artifact:v1/files/artifact.txt",
				"hello-artifact/_tags/v1/files/artifact.txt",
				"a/b/c/_tags/v1/files/artifact.txt",
				"a/b/c:v1/files/artifact.txt",
			} {
				if got := m.cat(t, path); got != "hello world\n" {
					t.Errorf("%s holds %q", path, got)
				}
			}
			if got := m.ls(t, "hello-artifact/_tags"); !slices.Equal(got, []string{"v1"}) {
				t.Errorf("_tags lists %q", got)
			}
		})
	}
}
