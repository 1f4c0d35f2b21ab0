package mount

import (
	"path"
	"strings"
	"testing"
)

// TestLayoutTools has the tools that take OCI image layouts read layout/ and
// layout.tar from the mount alone, and push what they read: the digests are the
// same.
func TestLayoutTools(t *testing.T) {
	t.Parallel()
	crane := tool(t, "crane")
	r := startDistribution(t)
	for _, reference := range []string{"base-gzip:latest", "multi:latest", "docker-schema2:list", "artifact:several"} {
		name, tag, _ := strings.Cut(reference, ":")
		orasIn(t, "", "cp", "--from-oci-layout", unpackLayout(t, name)+":"+tag, r.host+"/"+reference)
	}
	second := startDistribution(t)
	copied := func(what, to string) {
		t.Helper()
		name, _, _ := strings.Cut(to, "/")
		tag := map[string]string{"docker-schema2": "list", "artifact": "several"}[name]
		if tag == "" {
			tag = "latest"
		}
		got := orasIn(t, "", "resolve", second.host+"/"+to)
		if want := orasIn(t, "", "resolve", r.host+"/"+name+":"+tag); got != want {
			t.Errorf("%s copies %s as %s, not %s", what, name, got, want)
		}
	}
	m := mountRegistry(t, r.host)
	for _, manifest := range []string{"base-gzip/_tags/latest", "multi/_tags/latest", "docker-schema2/_tags/list", "artifact/_tags/several"} {
		name, _, _ := strings.Cut(manifest, "/")
		layout := m.path(manifest, "layout")
		orasIn(t, "", "cp", "--from-oci-layout", layout+":latest", second.host+"/"+name+"/oras:v1")
		copied("oras", name+"/oras:v1")
		if name == "artifact" {
			continue // the others are for images
		}
		output(t, crane, "push", layout, second.host+"/"+name+"/crane:v1")
		copied("crane", name+"/crane:v1")
		for form, from := range map[string]string{"folder": "oci:" + layout, "tar": "oci-archive:" + layout + ".tar"} {
			to := path.Join(name, "skopeo", form) + ":v1"
			second.skopeoCopy(t, from, to)
			copied("skopeo", to)
		}
	}

	// What Docker's own loader reads of the tar, which knows no OCI layout.
	second.skopeoCopy(t, "docker-archive:"+m.path("base-gzip/_tags/latest/layout.tar"), "base-gzip/archive:v1")

	needRoot(t)
	sameBase(t, umociUnpack(t, m.path("base-gzip/_tags/latest/layout"), "latest"))
	pinned := mountLayout(t, m.path("base-gzip/_tags/latest/layout.tar")+":latest")
	pinned.ls(t)
	sameBase(t, pinned.dir)
}

// TestLayoutOfReferrer copies an artifact that refers to another, which oras does
// only where it can read that one too.
func TestLayoutOfReferrer(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	dir := folder(t, map[string]string{"app.txt": "app\n", "sbom.json": "{}\n"})
	subject := r.push(t, dir, "app:v1", "app.txt")
	orasIn(t, dir, "attach", "--artifact-type", "application/spdx+json", r.host+"/app:v1", "sbom.json")
	m := mountRegistry(t, r.host)
	referrers := m.ls(t, "app:v1/referrers/application/spdx+json")
	if len(referrers) != 1 {
		t.Fatalf("the referrers are %q", referrers)
	}
	layout := m.path("app/_manifests/sha256", referrers[0], "layout")
	orasIn(t, dir, "cp", "--from-oci-layout", layout+":latest", r.host+"/copy:v1")
	if got := strings.TrimSpace(orasIn(t, dir, "resolve", r.host+"/copy:v1")); hexOf(got) != referrers[0] {
		t.Errorf("the copy is %s, not %s", got, referrers[0])
	}
	orasIn(t, dir, "manifest", "fetch", r.host+"/copy@"+subject)
}
