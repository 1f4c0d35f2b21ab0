package mount

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestReferrers attaches two things to an artifact with oras, and one to one of
// them: over a registry that has the API for it, and over those that don't,
// where oras keeps the list under a tag. The tree is the same.
func TestReferrers(t *testing.T) {
	t.Parallel()
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			r := start(t)
			dir := folder(t, map[string]string{"app.txt": "app\n", "sbom.json": "{}\n", "sig": "signature\n"})
			subject := r.push(t, dir, "app:v1", "app.txt")
			attach := func(to, artifactType, file string) string {
				t.Helper()
				return digestIn(t, orasIn(t, dir, "attach", "--artifact-type", artifactType, r.host+"/app@"+to, file))
			}
			sbom := attach(subject, "application/spdx+json", "sbom.json")
			scan := attach(subject, "application/vnd.example.scan", "sig")
			signature := attach(sbom, "application/vnd.example.signature", "sig")
			tags := strings.Fields(orasIn(t, "", "repo", "tags", r.host+"/app"))
			if byTag := slices.Contains(tags, strings.Replace(subject, ":", "-", 1)); byTag == (kind == "olareg") {
				t.Errorf("the tags are %q: the test shows something else", tags)
			}
			m := mountRegistry(t, r.host)

			want := []string{
				"application/spdx+json/" + hexOf(sbom),
				"application/spdx+json/" + hexOf(sbom) + "/application/vnd.example.signature/" + hexOf(signature),
				"application/vnd.example.scan/" + hexOf(scan),
			}
			if got := m.referrerTree(t, "app:v1"); !slices.Equal(got, want) {
				t.Errorf("the referrers are %q, want %q", got, want)
			}
			if got := r.discover(t, "app:v1").tree(); !slices.Equal(got, want) {
				t.Errorf("oras discovers %q, not %q", got, want)
			}
			link := "app:v1/referrers/application/spdx+json/" + hexOf(sbom)
			if got, want := m.readlink(t, link), "../../../../"+hexOf(sbom); got != want {
				t.Errorf("the SBOM's link leads to %s, want %s", got, want)
			}
			if got, want := m.readlink(t, link, "subject"), "../"+hexOf(subject); got != want {
				t.Errorf("its subject is %s, want %s", got, want)
			}
			if got := m.cat(t, link, "subject/files/app.txt"); got != "app\n" {
				t.Errorf("the subject's file holds %q", got)
			}
			output(t, "find", m.path("app")) // it ends
		})
	}
}

// TestReferrersAPI asks a registry that has the API.
func TestReferrersAPI(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "artifact")
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	if got := len(m.referrerTypes(t, "artifact:single")); got != 2 {
		t.Errorf("%d types of referrers, not 2", got)
	}
	f.Reset()
	m.referrers(t, "artifact:single")
	f.asksNothing(t, "a second time")
}

// TestOddReferrers has a registry answer with what can't be shown, or not at
// all: what is beside it goes on working.
func TestOddReferrers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	subject := f.AddArtifact("app", "v1", "application/vnd.example", nil)
	for _, artifactType := range []string{"../../up", "/etc/passwd", "a/../b", "nul\x00", "", "a/b/c/d", "plain", "plain"} {
		desc := f.AddArtifact("app", "", "application/vnd.example", map[string]string{"of": artifactType})
		desc.ArtifactType = artifactType
		f.AddReferrer("app", subject.Digest, desc)
	}
	m := mountRegistry(t, f.host, "--timeout", "2s")
	if got, want := m.referrerTypes(t, "app:v1"), []string{"a/b/c/d", ocispec.MediaTypeImageManifest, "plain"}; !slices.Equal(got, want) {
		t.Errorf("the referrers are %q, want %q", got, want)
	}
	m.logs(t, "referrer left out", subject.Digest.Encoded())

	f.AddArtifact("odd", "v1", "application/vnd.example", nil)
	f.Inject(fakeregistry.Fault{Path: "/v2/odd/referrers/", Status: http.StatusBadRequest})
	if got := m.ls(t, "odd:v1/referrers"); len(got) != 0 {
		t.Errorf("a registry that can't tell lists %q", got)
	}
	m.logs(t, "the referrers API is refused", f.host)
	f.AddArtifact("harbor", "v1", "application/vnd.example", nil)
	f.Inject(fakeregistry.Fault{Path: "/v2/harbor/referrers/", Status: http.StatusUnauthorized})
	if got := m.ls(t, "harbor:v1/referrers"); len(got) != 0 {
		t.Errorf("a registry that takes the API for a secret lists %q", got)
	}
	secret := f.AddArtifact("secret", "v1", "application/vnd.example", nil)
	f.Inject(fakeregistry.Fault{Path: "/v2/secret/referrers/", Status: http.StatusForbidden})
	f.Inject(fakeregistry.Fault{Path: "/v2/secret/manifests/sha256-" + secret.Digest.Encoded(), Status: http.StatusForbidden})
	fails(t, noAccess, "ls", m.path("secret:v1/referrers"))
	m.cat(t, "secret:v1/manifest.json")
}

// TestManyReferrers has more referrers of one type than anybody reads: they are all
// there, and the registry is asked for them once.
func TestManyReferrers(t *testing.T) {
	t.Parallel()
	const many = 4000
	f := serveFake(t)
	subject := f.AddArtifact("app", "v1", "application/vnd.example", nil)
	for i := range many {
		f.AddReferrer("app", subject.Digest, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 2, ArtifactType: "application/vnd.example.signature",
		})
	}
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	list := output(t, "ls", "-l", m.path("app:v1/referrers/application/vnd.example.signature"))
	for i := range many {
		link := digest.FromString(fmt.Sprint(i)).Encoded()
		if !strings.Contains(list, link+" -> ../../../../"+link+"\n") {
			t.Fatalf("%s isn't listed with its target", link)
		}
	}
	if got := strings.Count(list, "\n"); got != many+1 {
		t.Errorf("%d lines are listed, not one for each and the total", got)
	}
	if n := f.Count("", "/referrers/"); n != 1 {
		t.Errorf("the registry is asked %d times", n)
	}
}
