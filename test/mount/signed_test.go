package mount

import (
	"path"
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
	s := newSigner(t)
	for name, flags := range map[string][]string{"keys": {"--verify-key", s.file}, "programs": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an outage takes its time
			f := serveFake(t)
			d := f.addText("app", "v1", "text")
			s.sign(t, f, "app", d.Digest, payload(d.Digest))
			f.addText("app", "unsigned", secret)
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
