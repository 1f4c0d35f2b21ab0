package mount

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestSigned mounts what is signed in the ways of cosign, and what isn't.
func TestSigned(t *testing.T) {
	t.Parallel()
	ours, theirs := newSigner(t), newSigner(t)
	f := serveFake(t)
	other := f.addText("other", "v1", "other")
	for name, sign := range map[string]func(d ocispec.Descriptor){
		"by-tag":    func(d ocispec.Descriptor) { ours.sign(t, f, "app", d.Digest, payload(d.Digest)) },
		"by-bundle": func(d ocispec.Descriptor) { ours.attach(t, f, "app", d) },
		"!unsigned": func(ocispec.Descriptor) {},
		"!by-another-key": func(d ocispec.Descriptor) {
			theirs.sign(t, f, "app", d.Digest, payload(d.Digest))
			theirs.attach(t, f, "app", d)
		},
		"!of-another-digest": func(d ocispec.Descriptor) { ours.sign(t, f, "app", d.Digest, payload(other.Digest)) },
		"!tampered": func(d ocispec.Descriptor) {
			ours.sign(t, f, "app", d.Digest, payload(other.Digest))
			f.AddWrongBlob("app", digest.FromBytes(payload(other.Digest)), payload(d.Digest))
		},
	} {
		tag, unsigned := strings.CutPrefix(name, "!")
		d := f.addText("app", tag, tag)
		sign(d)
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			m := mountRegistry(t, f.host, "--verify-key", newSigner(t).file, "--verify-key", ours.file)
			file := path.Join("app:"+tag, "files/text.txt")
			if !unsigned {
				if got := m.cat(t, file); got != tag {
					t.Errorf("%s holds %q", file, got)
				}
				if got := m.xattr(t, "user.oci.verified", manifestPath("app", d.Digest)); got != "key "+ours.file {
					t.Errorf("it is verified by %q", got)
				}
				return
			}
			for range 2 {
				fails(t, noAccess, "cat", m.path(file))
				fails(t, noAccess, "ls", m.path(manifestPath("app", d.Digest)))
			}
			m.logs(t, "ERROR", "verify", d.Digest.String(), "EACCES", "denied by the keys")
			if n := strings.Count(m.log(t), "msg=verify"); n != 1 {
				t.Errorf("%d lines say why", n)
			}
			if got := m.ls(t, "app/_tags"); !slices.Contains(got, tag) {
				t.Errorf("the tags are %q", got)
			}
		})
	}
}

// host is the platform whose manifest an index shows.
func host() *ocispec.Platform { return &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH} }

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
				r := finish(t, prepare(t, u.host+target, "--verify-key", s.file, "--view", view).command())
				if r.code != 1 || !strings.Contains(r.stderr, "denied by the keys") {
					t.Errorf("%s: exit code %d, %s", r.command, r.code, r.stderr)
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

// TestSignatureCost counts what a signature takes: it is looked for once, whatever is read
// of what is signed, and not at all by who lists.
func TestSignatureCost(t *testing.T) {
	t.Parallel()
	s, f := newSigner(t), serveFake(t)
	d := f.addText("app", "v1", "text")
	s.sign(t, f, "app", d.Digest, payload(d.Digest))
	m := mountRegistry(t, f.host, "--verify-key", s.file, "--tag-ttl", "1h")
	output(t, "ls", "-l", m.path("app/_tags"))
	f.asksNothingBut(t, "to list tags", "HEAD /v2/app/manifests/v1", "HEAD /v2/app/manifests/"+signatureTag(d.Digest))
	f.Reset()
	for range 3 {
		for _, file := range []string{"files/text.txt", "layers/00-text.txt", "manifest.json", "layout/index.json", "layout.tar"} {
			m.cat(t, "app:v1/"+file)
		}
		m.cat(t, "app/_blobs/sha256/"+digest.FromString("text").Encoded())
		m.xattr(t, "user.oci.verified", manifestPath("app", d.Digest))
	}
	for what, want := range map[string]int{
		"/manifests/" + signatureTag(d.Digest): 1, "/blobs/" + digest.FromBytes(payload(d.Digest)).String(): 1,
		"/manifests/" + d.Digest.String(): 1, "/referrers/": 0,
	} {
		if n := f.Count("", what); n != want {
			t.Errorf("%d requests for %s, want %d", n, what, want)
		}
	}
}

// TestVerifiers has programs decide, and counts how often.
func TestVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	good, bad := f.addText("app", "good", "good"), f.addText("app", "bad", "bad")
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	child := f.addText("app", "", "child")
	child.Platform = host()
	index.Manifests = []ocispec.Descriptor{child}
	listed := f.AddManifest("app", "index", index.MediaType, asJSON(t, index))
	dir, counted := verifierDir(t, fmt.Sprintf(`echo $digest >>$counted
echo "I looked at $name"
test $digest = %s || test $digest = %s`, good.Digest, listed.Digest))
	m := mountRegistry(t, f.host, "--verifier-dir", dir)
	for _, file := range []string{"app:good/files/text.txt", "app:good/layers/00-text.txt", "app/_blobs/sha256/" + digest.FromString("good").Encoded(), "app:good/layout/blobs/sha256/" + digest.FromString("good").Encoded()} {
		if got := m.cat(t, file); got != "good" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	m.cat(t, "app:good/layout.tar")
	for _, file := range []string{"app:index/files/text.txt", manifestPath("app", child.Digest) + "/files/text.txt", "app:index/platforms/linux-" + runtime.GOARCH + "/layers/00-text.txt"} {
		if got := m.cat(t, file); got != "child" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	fails(t, noAccess, "cat", m.path("app:bad/manifest.json"))
	m.logs(t, "ERROR", bad.Digest.String(), "denied by verifier check: exit code 1: I looked at "+f.host+"/app@"+bad.Digest.String())
	if got, want := linesOf(t, counted), []string{good.Digest.String(), listed.Digest.String(), bad.Digest.String()}; !slices.Equal(got, want) {
		t.Errorf("asked about %q, want once about each of %q", got, want)
	}
	if got := m.xattr(t, "user.oci.verified", manifestPath("app", child.Digest)); !strings.HasPrefix(got, "index "+listed.Digest.String()+", verifier check: I looked at ") {
		t.Errorf("the child is verified by %q", got)
	}
}

// TestBadVerifiers has programs that hang, crash and talk, and none.
func TestBadVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addText("app", "v1", "text")
	for name, test := range map[string]struct{ script, why string }{
		"hangs":             {"sleep 1000 & wait", "longer than 1s"},
		"crashes":           {"kill -SEGV $$", "crashed"},
		"prints a megabyte": {"head -c 1000000 /dev/zero | tr '\\0' x; exit 1", "exit code 1: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := verifierDir(t, test.script)
			timeout := "1h"
			if name == "hangs" {
				timeout = "1s"
			}
			m := mountRegistry(t, f.host, "--verifier-dir", dir, "--verifier-timeout", timeout)
			fails(t, noAccess, "cat", m.path("app:v1/files/text.txt"))
			m.logs(t, "ERROR", "EACCES", "denied by verifier check", test.why)
		})
	}
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		dir, _ := verifierDir(t, "exit 0")
		m := mountRegistry(t, f.host, "--verifier-dir", dir)
		if err := os.Remove(filepath.Join(dir, "check")); err != nil {
			t.Fatal(err)
		}
		fails(t, noAccess, "cat", m.path("app:v1/files/text.txt"))
	})
}

// TestWrongVerifiers is told at mount time.
func TestWrongVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	dir, _ := verifierDir(t, "exit 0")
	none := filepath.Join(dir, "none")
	for why, flags := range map[string][]string{
		"--verifier-dir: ":              {"--verifier-dir", none},
		"holds no verifier":             {"--verifier-dir", t.TempDir()},
		"no such file":                  {"--verify-key", none},
		"isn't a public key":            {"--verify-key", filepath.Join(dir, "check")},
		"none: no such file":            {"-o", "verify-key=" + none},
		"--verifier-timeout must be mo": {"--verifier-timeout", "0s"},
	} {
		if r := finish(t, prepare(t, f.host, flags...).command()); r.code == 0 || !strings.Contains(r.stderr, why) {
			t.Errorf("%s: exit code %d, %s", r.command, r.code, r.stderr)
		}
	}
}

// TestSignatureDeleted has a signature go: what was read of it isn't there any more after
// the tags' time to live, though the kernel knows its names and has its pages.
func TestSignatureDeleted(t *testing.T) {
	t.Parallel()
	s, f := newSigner(t), serveFake(t)
	layer := gzipLayer(t, tarOf(t, regular("etc/file", "content")))
	i := imageOf(t, layer)
	f.addImage("app", "v1", i)
	d := digest.FromBytes(i.manifest)
	s.sign(t, f, "app", d, payload(d))
	m := mountRegistry(t, f.host, "--verify-key", s.file, "--tag-ttl", "1s")
	dir := manifestPath("app", d)
	files := []string{dir + "/manifest.json", dir + "/config.json", dir + "/layers/00-" + layer.descriptor().Digest.Encoded()[:12] + ".tar.gz",
		dir + "/rootfs/etc/file", dir + "/layers/00/etc/file", dir + "/layout.tar", dir + "/layout/blobs/sha256/" + d.Encoded(),
		"app/_blobs/sha256/" + layer.descriptor().Digest.Encoded()}
	for _, file := range files {
		m.cat(t, file)
	}
	f.Untag("app", signatureTag(d))
	eventually(t, "what isn't signed any more can't be read", func() bool { return try(t, "cat", m.path(files[0])).code != 0 })
	for _, file := range files {
		fails(t, noAccess, "cat", m.path(file))
	}
	s.sign(t, f, "app", d, payload(d))
	eventually(t, "what is signed again can be read", func() bool { return try(t, "cat", m.path(files[3])).code == 0 })
}

// TestSignedOutage has the registry go down: what was allowed can be read, by a mount that
// is made then too, with the same key.
func TestSignedOutage(t *testing.T) {
	t.Parallel()
	s, f := newSigner(t), serveFake(t)
	d := f.addText("app", "v1", "text")
	s.sign(t, f, "app", d.Digest, payload(d.Digest))
	f.addText("app", "unsigned", secret)
	for name, flags := range map[string][]string{"keys": {"--verify-key", s.file}, "programs": nil} {
		t.Run(name, func(t *testing.T) {
			if flags == nil {
				dir, _ := verifierDir(t, "test $digest = "+d.Digest.String())
				flags = []string{"--verifier-dir", dir}
			}
			m := prepare(t, f.host, append(flags, "--timeout", "5s", "--tag-ttl", "1s")...)
			m.mount(t)
			m.cat(t, "app:v1/files/text.txt")
			fails(t, noAccess, "cat", m.path("app:unsigned/files/text.txt"))
			m.restart(t)
			m.ls(t, "app")
			up := f.down()
			defer up()
			if got := m.cat(t, "app:v1/files/text.txt"); got != "text" {
				t.Errorf("it holds %q", got)
			}
			if r := try(t, "cat", m.path("app:unsigned/files/text.txt")); r.code == 0 {
				t.Errorf("what was never signed holds %q", r.stdout)
			}
			m.unmount(t)
			m.flags = append([]string{"--verify-key", newSigner(t).file}, "--timeout", "5s")
			m.mount(t)
			if r := try(t, "cat", m.path("app:v1/files/text.txt")); r.code == 0 {
				t.Errorf("with another key it holds %q", r.stdout)
			}
		})
	}
}
