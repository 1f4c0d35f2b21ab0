package mount

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestSavedImages mounts what docker save, buildx, ctr and skopeo write, and what
// is in it: the same tree as out of a registry.
func TestSavedImages(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := unpackLayout(t, "docker-save")
	for _, c := range []struct {
		file, tag string
		base      bool
	}{
		{"skopeo-docker-archive.tar", "latest", true}, // the older form
		{"buildkit-docker.tar", "latest", false},
		{"ctr-export.tar", "latest", false},
		{"buildkit-oci.tar", "latest", false},
		{"skopeo-oci-archive.tar", "tiny", false},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			m := mountLayout(t, filepath.Join(dir, c.file), "--platform", "linux/amd64")
			if got, want := m.ls(t), []string{"_blobs", "_manifests", "_tags"}; !slices.Equal(got, want) {
				t.Errorf("the mount lists %q, want %q", got, want)
			}
			if got := m.ls(t, "_tags"); !slices.Equal(got, []string{c.tag}) {
				t.Errorf("the tags are %q, want %s", got, c.tag)
			}
			if got := m.ls(t, "_manifests/sha256"); len(got) == 0 || !slices.Contains(got, filepath.Base(m.readlink(t, "_tags", c.tag))) {
				t.Errorf("the manifests are %q", got)
			}
			rootfs := strings.TrimSpace(output(t, "readlink", "-f", m.path("_tags", c.tag, "rootfs"))) // of an index it is a link
			output(t, "ls", rootfs)
			if c.base {
				sameBase(t, rootfs)
			} else {
				sameTree(t, fixtureSpec(t, tinySpec), rootfs)
			}
			output(t, "find", m.dir) // it ends
		})
	}
}

// TestLayoutWithoutNetwork mounts a folder and a tar of it where there is no
// network, and compares with oras.
func TestLayoutWithoutNetwork(t *testing.T) {
	t.Parallel()
	needRoot(t) // to have no network
	dir := unpackLayout(t, "artifact")
	tar := filepath.Join(t.TempDir(), "hello-world.tar")
	output(t, "tar", "-C", dir, "-cf", tar, ".")
	for _, layout := range []string{dir, tar} {
		t.Run(filepath.Base(layout), func(t *testing.T) {
			m := layoutMount(t, layout)
			mounting := m.command()
			cmd := exec.Command("unshare", append([]string{"--net"}, mounting.Args...)...)
			cmd.Env = mounting.Env
			if r := finish(t, cmd); r.code != 0 {
				t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
			}
			if got, want := m.ls(t, "_tags"), strings.Fields(orasIn(t, dir, "repo", "tags", "--oci-layout", layout)); !slices.Equal(got, want) {
				t.Errorf("the tags are %q, and oras lists %q", got, want)
			}
			for _, tag := range m.ls(t, "_tags") {
				pulled := t.TempDir()
				orasIn(t, pulled, "pull", "--oci-layout", layout+":"+tag)
				output(t, "diff", "-r", pulled, m.path("_tags", tag, "files"))
			}
			if got := m.referrerTypes(t, "_tags/single"); len(got) != 2 {
				t.Errorf("the referrers are %q", got)
			}
			if used := output(t, "find", m.cache, "-size", "+0", "-path", "*blobs*", "-type", "f"); used != "" {
				t.Errorf("the layout's blobs are in the cache too:\n%s", used)
			}
		})
	}
}

// TestLayoutReferrers finds cosign's and notation's signatures in a layout.
func TestLayoutReferrers(t *testing.T) {
	t.Parallel()
	m := mountLayout(t, unpackLayout(t, "signed"))
	got := m.referrerTypes(t, "_tags/amd64")
	want := []string{
		"application/vnd.cncf.notary.signature",
		"application/vnd.dev.cosign.artifact.sig.v1+json",
		"application/vnd.dev.sigstore.bundle.v0.3+json",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the types of the referrers are %q, want %q", got, want)
	}

	// An attestation in an index may be a referrer besides.
	m = mountLayout(t, unpackLayout(t, "multi-oci-artifact"))
	platforms := m.ls(t, "_tags/latest/platforms")
	attestations := slices.DeleteFunc(slices.Clone(platforms), func(name string) bool { return !strings.HasPrefix(name, "unknown-unknown-") })
	if len(platforms) != 4 || len(attestations) != 2 {
		t.Errorf("the platforms are %q, not two and their attestations", platforms)
	}
	for _, name := range platforms {
		of := m.referrerTypes(t, "_tags/latest/platforms/"+name)
		if isAttestation := slices.Contains(attestations, name); (len(of) == 1) == isAttestation {
			t.Errorf("%s has the referrers %q", name, of)
		}
	}
}

// TestGrowingLayout pushes into a layout while it is mounted.
func TestGrowingLayout(t *testing.T) {
	t.Parallel()
	work := folder(t, map[string]string{"one": "1\n", "two": "2\n"})
	orasIn(t, work, "push", "--oci-layout", "layout:v1", "one")
	m := mountLayout(t, filepath.Join(work, "layout"), "--tag-ttl", "1ms")
	if got := m.cat(t, "_tags/v1/files/one"); got != "1\n" {
		t.Errorf("the file holds %q", got)
	}
	orasIn(t, work, "push", "--oci-layout", "layout:v2", "two")
	if got := m.ls(t, "_tags"); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("after another push the tags are %q", got)
	}
	if got := m.cat(t, "_tags/v2/files/two"); got != "2\n" {
		t.Errorf("the file holds %q", got)
	}
	if got := len(m.ls(t, "_manifests/sha256")); got != 2 {
		t.Errorf("%d manifests are listed, not 2", got)
	}
	// Both are in one folder, but a blob is no manifest.
	fails(t, notThere, "ls", m.path("_manifests/sha256", digest.FromString("1\n").Encoded()))
	if got := m.cat(t, "_blobs/sha256", digest.FromString("1\n").Encoded()); got != "1\n" {
		t.Errorf("the blob holds %q", got)
	}
}

// TestLyingLayout has blobs that are changed, shortened, gone, or no files.
func TestLyingLayout(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789abcdef", 9<<16)
	work := folder(t, map[string]string{"changed": "right\n", "shortened": "a file\n", "gone": "gone\n", "fifo": "no fifo\n", "large": large})
	orasIn(t, work, "push", "--oci-layout", "layout:v1", "changed", "shortened", "gone", "fifo", "large")
	blob := func(content string) string {
		return filepath.Join(work, "layout/blobs/sha256", digest.FromString(content).Encoded())
	}
	fault := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fault(os.Chmod(blob("right\n"), 0o600))
	fault(os.WriteFile(blob("right\n"), []byte("wrong\n"), 0o600))
	fault(os.Truncate(blob("a file\n"), 3))
	fault(os.Remove(blob("gone\n")))
	fault(os.Remove(blob("no fifo\n")))
	fault(syscall.Mkfifo(blob("no fifo\n"), 0o600))
	wrong := []byte(large)
	wrong[len(wrong)/2] ^= 1
	fault(os.Chmod(blob(large), 0o600))
	fault(os.WriteFile(blob(large), wrong, 0o600))

	m := mountLayout(t, filepath.Join(work, "layout"))
	for _, name := range []string{"changed", "shortened", "gone", "fifo", "large"} {
		fails(t, ioError, "cat", m.path("_tags/v1/files", name))
	}
	fails(t, ioError, "cat", m.path("_tags/v1/layout.tar"))
	m.logs(t, "read blob", digest.FromString("gone\n").String())
	m.logs(t, "digest", digest.FromString(large).String())
}

// TestPinnedInLayout mounts one artifact of a layout.
func TestPinnedInLayout(t *testing.T) {
	t.Parallel()
	dir := unpackLayout(t, "artifact")
	if got := mountLayout(t, dir+":single").ls(t); !slices.Equal(got, mountLayout(t, dir+":single", "--view", "files").ls(t)) || len(got) != 1 {
		t.Errorf("the mount lists %q", got)
	}
	target := dir + "@" + strings.TrimSpace(orasIn(t, dir, "resolve", "--oci-layout", dir+":several"))
	m := mountLayout(t, target, "--view", "layout")
	m.mountedAs(t, target)
	orasIn(t, dir, "manifest", "fetch", "--oci-layout", m.dir+":latest")
}

// TestLayoutPaths mounts by a relative path, and by one with signs in it that mean
// something elsewhere.
func TestLayoutPaths(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	for _, name := range []string{"layout", "a:b", "with space, comma", `back\slash`} {
		if err := os.CopyFS(filepath.Join(work, name), openFixture(t, "artifact")); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{name, name + ":single"} {
			m := layoutMount(t, target)
			cmd := m.command()
			cmd.Dir = work
			if r := finish(t, cmd); r.code != 0 {
				t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
			}
			if len(m.ls(t)) == 0 {
				t.Errorf("%q: nothing is listed", target)
			}
			m.unmount(t)
		}
	}
}

// TestLayoutRefused names what can't be mounted.
func TestLayoutRefused(t *testing.T) {
	t.Parallel()
	dir := unpackLayout(t, "artifact")
	compressed := filepath.Join(t.TempDir(), "layout.tar.gz")
	output(t, "tar", "-C", dir, "-czf", compressed, ".")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("text\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target string
		flags  []string
		code   int
		says   []string
	}{
		{dir + ":none", nil, 1, []string{"has no none", "tag"}},
		{dir + "@" + digest.FromString("none").String(), nil, 1, []string{"has no sha256:"}},
		{filepath.Join(dir, "none"), nil, 1, []string{"no such file"}},
		{t.TempDir(), nil, 1, []string{"oci-layout"}},
		{compressed, nil, 1, []string{"compress"}},
		{text, nil, 1, []string{"tar"}},
		{dir + ":single", []string{"--view", "rootfs"}, 1, []string{"no image"}},
		{dir, []string{"--view", "rootfs"}, 2, []string{"one artifact"}},
		{dir + ":not a tag", nil, 2, []string{"tag"}},
	} {
		m := layoutMount(t, c.target, c.flags...)
		m.refused(t, m.command(), c.code, c.says...)
		if mounted(t, m.dir) {
			t.Errorf("%s: something is mounted", c.target)
		}
	}
}
