package mount

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// referrersOf are the paths below referrers/ of a manifest, each with what its
// link leads to, which must be there.
func (m *mount) referrersOf(t testing.TB, manifest string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name := range strings.Lines(output(t, "find", m.path(manifest, "referrers"), "-type", "l", "-printf", `%P\n`)) {
		name = strings.TrimSuffix(name, "\n")
		if got := m.ls(t, manifest, "referrers", name+"/"); !slices.Contains(got, "manifest.json") {
			t.Errorf("%s leads to what holds %q", name, got)
		}
		found[path.Dir(name)] = m.cat(t, manifest, "referrers", name, "manifest.json")
	}
	return found
}

// TestReferrers attaches two things to an artifact with oras, and one to one of
// them: over a registry that keeps them under a tag, since it has no API for it.
func TestReferrers(t *testing.T) {
	r := startDistribution(t)
	dir := folder(t, map[string]string{"app.txt": "app\n", "sbom.json": "{}\n", "sig": "signature\n"})
	subject := r.push(t, dir, "app:v1", "app.txt")
	attach := func(to, artifactType, file string) string {
		t.Helper()
		printed := orasIn(t, dir, "attach", "--artifact-type", artifactType, r.host+"/app@"+to, file)
		match := pushedDigest.FindStringSubmatch(printed)
		if match == nil {
			t.Fatalf("oras attach printed no digest:\n%s", printed)
		}
		return match[1]
	}
	sbom := attach(subject, "application/spdx+json", "sbom.json")
	attach(subject, "application/vnd.example.scan", "sig")
	attach(sbom, "application/vnd.example.signature", "sig")
	m := mountRegistry(t, r.host)

	of := m.referrersOf(t, "app:v1")
	if got, want := slices.Sorted(maps.Keys(of)), []string{"application/spdx+json", "application/vnd.example.scan"}; !slices.Equal(got, want) {
		t.Errorf("the referrers are %q, want %q", got, want)
	}
	if got := digest.FromString(of["application/spdx+json"]).String(); got != sbom {
		t.Errorf("the SBOM is %s, not %s", got, sbom)
	}
	link := "app:v1/referrers/application/spdx+json/" + hexOf(sbom)
	if got, want := strings.TrimSuffix(output(t, "readlink", m.path(link)), "\n"), "../../../../"+hexOf(sbom); got != want {
		t.Errorf("its link leads to %s, want %s", got, want)
	}
	if got := slices.Sorted(maps.Keys(m.referrersOf(t, link))); !slices.Equal(got, []string{"application/vnd.example.signature"}) {
		t.Errorf("the SBOM's referrers are %q", got)
	}
	if got, want := strings.TrimSuffix(output(t, "readlink", m.path(link, "subject")), "\n"), "../"+hexOf(subject); got != want {
		t.Errorf("its subject is %s, want %s", got, want)
	}
	if got := m.cat(t, link, "subject/files/app.txt"); got != "app\n" {
		t.Errorf("the subject's file holds %q", got)
	}
	output(t, "find", m.dir) // it ends
}

// TestReferrersAPI asks a registry that has the API.
func TestReferrersAPI(t *testing.T) {
	f := serveFake(t)
	f.addFixture(t, "artifact")
	m := mountRegistry(t, f.host, "--tag-ttl", "1h")
	if got := len(m.referrersOf(t, "artifact:single")); got != 2 {
		t.Errorf("%d types of referrers, not 2", got)
	}
	f.Reset()
	m.referrersOf(t, "artifact:single")
	f.asksNothing(t, "a second time")
}

// TestOddReferrers has a registry answer with what can't be shown, or not at
// all: what is beside it goes on working.
func TestOddReferrers(t *testing.T) {
	f := serveFake(t)
	subject := f.AddArtifact("app", "v1", "application/vnd.example", nil)
	for _, artifactType := range []string{"../../up", "/etc/passwd", "a/../b", "nul\x00", "", "a/b/c/d", "plain", "plain"} {
		desc := f.AddArtifact("app", "", "application/vnd.example", map[string]string{"of": artifactType})
		desc.ArtifactType = artifactType
		f.AddReferrer("app", subject.Digest, desc)
	}
	m := mountRegistry(t, f.host, "--timeout", "2s")
	if got, want := slices.Sorted(maps.Keys(m.referrersOf(t, "app:v1"))), []string{"a/b/c/d", ocispec.MediaTypeImageManifest, "plain"}; !slices.Equal(got, want) {
		t.Errorf("the referrers are %q, want %q", got, want)
	}
	m.logs(t, "referrer left out", subject.Digest.Encoded())

	f.AddArtifact("odd", "v1", "application/vnd.example", nil)
	f.Inject(fakeregistry.Fault{Path: "/v2/odd/referrers/", Status: http.StatusBadRequest})
	if got := m.ls(t, "odd:v1/referrers"); len(got) != 0 {
		t.Errorf("a registry that can't tell lists %q", got)
	}
	m.logs(t, "the registry doesn't tell referrers", "/odd@")
	f.AddArtifact("secret", "v1", "application/vnd.example", nil)
	f.Inject(fakeregistry.Fault{Path: "/v2/secret/referrers/", Status: http.StatusForbidden})
	fails(t, noAccess, "ls", m.path("secret:v1/referrers"))
	m.cat(t, "secret:v1/manifest.json")
}
