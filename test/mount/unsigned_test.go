package mount

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// secret is in what isn't signed, and nowhere else.
const secret = "what nobody signed\n"

// unsigned is an image that isn't signed in a registry where other things are, and the
// ways to its content, which are all that there are.
type unsigned struct {
	*fake
	image, index digest.Digest
	ways         []string // below the mountpoint
}

// serveUnsigned serves it.
func serveUnsigned(t testing.TB, s *signer) *unsigned {
	t.Helper()
	u := &unsigned{fake: serveFake(t)}
	layer := gzipLayer(t, tarOf(t, regular("secret.txt", secret)))
	titledLayer := layer
	titledLayer.annotations = map[string]string{ocispec.AnnotationTitle: "secret.tar.gz"}
	i := imageOf(t, titledLayer)
	u.image = digest.FromBytes(i.manifest)
	u.addImage("app", "v1", i)
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: u.image, Size: int64(len(i.manifest)), Platform: host()}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{subject}}
	index.SchemaVersion = 2
	u.index = u.AddManifest("app", "index", index.MediaType, asJSON(t, index)).Digest
	// What refers to it is signed, and so is what is beside it, and a copy of it elsewhere.
	sbom := u.refer(t, "app", subject, "application/spdx+json", u.AddBlob("app", []byte("sbom")))
	beside := u.addText("app", "signed", "signed")
	s.sign(t, u.fake, "app", sbom.Digest, payload(sbom.Digest))
	s.sign(t, u.fake, "app", beside.Digest, payload(beside.Digest))
	u.addImage("copy", "v1", i)
	s.sign(t, u.fake, "copy", u.image, payload(u.image))
	// What isn't signed refers to what is, and a tag leads to it.
	attached := u.refer(t, "app", beside, "application/vnd.example.text", titled(u.AddBlob("app", []byte(secret)), "secret.txt"))
	u.Tag("app", attached.Digest, "attached")

	hex := u.image.Encoded()
	blob := digest.FromBytes(layer.blob)
	config := digest.FromBytes(i.config)
	for _, dir := range []string{
		"app:v1", "app:index", "app:v1@" + u.image.String(), "app@" + u.image.String(), "app@" + u.index.String(),
		"app/_tags/v1", "app/_tags/index", "app/_manifests/v1", "app/_manifests/" + u.image.String(), "app/_manifests/sha256/" + hex,
		"app/_manifests/sha256/" + u.index.Encoded(), "app:index/platforms/linux-" + runtime.GOARCH, manifestPath("app", sbom.Digest) + "/subject",
	} {
		for _, file := range []string{
			"manifest.json", "config.json", "layers/00-secret.tar.gz", "layers/00/secret.txt", "files/secret.tar.gz", "rootfs/secret.txt",
			"layout/index.json", "layout/blobs/sha256/" + hex, "layout/blobs/sha256/" + blob.Encoded(), "layout/blobs/sha256/" + config.Encoded(), "layout.tar",
		} {
			u.ways = append(u.ways, dir+"/"+file)
		}
	}
	for _, dir := range []string{"app:v1", "app@" + u.image.String(), manifestPath("app", u.image)} {
		u.ways = append(u.ways, dir+"/referrers/application/spdx+json/"+sbom.Digest.Encoded()+"/manifest.json")
	}
	for _, d := range []digest.Digest{blob, config, u.image, u.index} {
		u.ways = append(u.ways, "app/_blobs/sha256/"+d.Encoded(), "app/_blobs/"+d.String())
	}
	for _, of := range []string{"app/_tags/attached", "app:attached"} {
		u.ways = append(u.ways, of+"/manifest.json", of+"/files/secret.txt", of+"/layers/00-secret.txt", of+"/layout.tar")
	}
	return u
}

// holds fails unless every way is closed. What the signed referrer's layout holds is the
// referrer's own alone.
func (u *unsigned) holds(t *testing.T, m *mount) {
	t.Helper()
	lists(t, m.path("app/_tags"), m.ls(t, "app/_tags")...)
	for _, way := range u.ways {
		fails(t, noAccess, "cat", m.path(way))
	}
	fails(t, noAccess, "getfattr", "-d", m.path(manifestPath("app", u.image)))
	// Whoever walks finds nothing either, and what is signed is there.
	r := try(t, "grep", "-rsl", "--", strings.TrimSpace(secret), m.path("app"))
	if r.stdout != "" {
		t.Errorf("grep finds it: %s", r.stdout)
	}
	if got := m.cat(t, "app:signed/files/text.txt") + m.cat(t, "copy:v1/rootfs/secret.txt"); got != "signed"+secret {
		t.Errorf("what is signed holds %q", got)
	}
	for _, way := range []string{"app/_blobs/sha256/", "app:signed/layout/blobs/sha256/"} {
		m.cat(t, way+digest.FromString("signed").Encoded())
	}
}

// TestNoWayRound tries every way to what isn't signed.
func TestNoWayRound(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		u.holds(t, mountRegistry(t, u.host, "--verify-key", s.file))
	})
	t.Run("after its referrers were listed", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		m := mountRegistry(t, u.host, "--verify-key", s.file)
		links := strings.Fields(output(t, "find", m.path("app:signed/referrers/"), "-type", "l"))
		for _, link := range links { // by its digest it can be looked at
			output(t, "cat", link+"/manifest.json")
		}
		if len(links) != 1 {
			t.Errorf("%d referrers", len(links))
		}
		for _, way := range u.ways {
			fails(t, noAccess, "cat", m.path(way))
		}
	})
	t.Run("the cache of a mount without", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		m := mountRegistry(t, u.host)
		for _, way := range u.ways {
			if !strings.Contains(way, "_blobs/") || !strings.Contains(way, u.image.Encoded()) && !strings.Contains(way, u.index.Encoded()) {
				m.stat(t, "%s", way)
			}
		}
		if got := m.cat(t, "app:v1/rootfs/secret.txt"); got != secret {
			t.Fatalf("without, it holds %q", got)
		}
		m.cat(t, "app:v1/layout.tar")
		m.unmount(t)
		m.flags = append(m.flags, "--verify-key", s.file)
		m.mount(t)
		u.holds(t, m)
	})
	t.Run("pinned", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		for _, target := range []string{"/app:v1", "/app:index", "/app@" + u.image.String(), "/app:attached"} {
			for _, view := range []string{"files", "rootfs", "layout"} {
				for _, follow := range []string{"--follow=false", "--follow"} {
					if follow == "--follow" && strings.Contains(target, "@") {
						continue
					}
					r := finish(t, prepare(t, u.host+target, "--verify-key", s.file, "--view", view, follow).command())
					if r.code != 1 || !strings.Contains(r.stderr, "denied by the keys") {
						t.Errorf("%s: exit code %d, %s", r.command, r.code, r.stderr)
					}
				}
			}
		}
		if got := mountRegistry(t, u.host+"/copy:v1", "--verify-key", s.file).cat(t, "secret.txt"); got != secret {
			t.Errorf("what is signed holds %q", got)
		}
	})
	t.Run("warm", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		for _, target := range []string{"app:v1", "app:v1/rootfs", "app:index", "app:index/platforms/linux-" + runtime.GOARCH, "app@" + u.image.String(), "app:attached"} {
			r := try(t, orasfs, "warm", "--cache-dir", t.TempDir(), "--verify-key", s.file, u.host+"/"+target)
			if r.code != 1 || !strings.Contains(r.stderr+r.stdout, "denied by the keys") {
				t.Errorf("%s: exit code %d, %s%s", r.command, r.code, r.stdout, r.stderr)
			}
		}
		output(t, orasfs, "warm", "--cache-dir", t.TempDir(), "--verify-key", s.file, u.host+"/copy:v1")
	})
	t.Run("a local layout", func(t *testing.T) {
		t.Parallel()
		u := serveUnsigned(t, s)
		dir := t.TempDir()
		orasIn(t, dir, "cp", "--from-plain-http", u.host+"/app:v1", "--to-oci-layout", "layout:v1")
		m := prepare(t, filepath.Join(dir, "layout"), "--oci-layout", "--verify-key", s.file)
		m.mount(t)
		for _, way := range []string{"_tags/v1/rootfs/secret.txt", manifestPath(".", u.image) + "/manifest.json", "_manifests/v1/layout.tar"} {
			fails(t, noAccess, "cat", m.path(way))
		}
	})
}
