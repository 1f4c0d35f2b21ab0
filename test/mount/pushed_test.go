package mount

import (
	"slices"
	"strings"
	"testing"
)

// TestPushedArtifacts compares files/ of each tag of two layouts, pushed to a
// registry, with what `oras pull` writes.
func TestPushedArtifacts(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{"artifact", "signed"} {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			r := startDistribution(t)
			tags := r.pushFixture(t, fixture)
			m := mountRegistry(t, r.host, "--platform", "linux/amd64")
			for _, tag := range tags {
				pull := []string{"pull", r.host + "/" + fixture + ":" + tag}
				if slices.Contains(m.ls(t, fixture+":"+tag+"/"), "platforms") {
					pull = append(pull, "--platform", "linux/amd64")
				}
				pulled := t.TempDir()
				orasIn(t, pulled, pull...)
				d := try(t, "diff", "-r", "--no-dereference", pulled, m.path(fixture+":"+tag, "files/"))
				if d.code != 0 || d.stdout != "" || d.stderr != "" {
					t.Errorf("%s: exit code %d\n%s%s", d.command, d.code, d.stdout, d.stderr)
				}
			}
			if fixture == "artifact" && output(t, "find", m.path("artifact:several/files/"), "-type", "f") == "" {
				t.Error("there is nothing to compare")
			}
		})
	}
}

// TestSignatures finds the signatures of cosign and notation by their types, and
// those that oras discovers.
func TestSignatures(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.pushFixture(t, "signed")
	r.pushFixture(t, "artifact")
	m := mountRegistry(t, r.host)
	for _, reference := range []string{"signed:amd64", "signed:v1", "artifact:single"} {
		if got, want := m.referrerTree(t, reference), r.discover(t, reference).tree(); !slices.Equal(got, want) {
			t.Errorf("referrers of %s are %q, oras discovers %q", reference, got, want)
		}
	}
	count := map[string]int{}
	for _, name := range m.referrerTree(t, "signed:amd64") {
		artifactType, _, _ := strings.Cut(name, "/"+name[len(name)-64:])
		count[artifactType]++
	}
	for artifactType, want := range map[string]int{
		"application/vnd.dev.cosign.artifact.sig.v1+json": 1,
		"application/vnd.dev.sigstore.bundle.v0.3+json":   2, // a signature and an attestation
		"application/vnd.cncf.notary.signature":           2, // JWS and COSE
	} {
		if count[artifactType] != want {
			t.Errorf("%d referrers are of the type %s, not %d", count[artifactType], artifactType, want)
		}
	}
}
