package mount

import (
	"slices"
	"testing"
)

// TestPinnedFiles mounts one artifact: its files are at the root, and stay
// those when the tag moves.
func TestPinnedFiles(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.AddArtifact("org/model", "v1", "application/vnd.example", nil,
		titled(f.AddBlob("org/model", []byte("one\n")), "weights.bin"), titled(f.AddBlob("org/model", []byte("{}\n")), "conf/config.json"))
	m := mountRegistry(t, f.host+"/org/model:v1", "--tag-ttl", "1ms")
	if got := m.ls(t); !slices.Equal(got, []string{"conf", "weights.bin"}) {
		t.Errorf("the mount lists %q", got)
	}
	moved := f.AddArtifact("org/model", "v1", "application/vnd.example", nil, titled(f.AddBlob("org/model", []byte("two\n")), "weights.bin"))
	if got := m.cat(t, "weights.bin") + m.cat(t, "conf/config.json"); got != "one\n{}\n" {
		t.Errorf("the files hold %q", got)
	}
	if got := m.ls(t); !slices.Equal(got, []string{"conf", "weights.bin"}) {
		t.Errorf("when the tag has moved the mount lists %q", got)
	}
	other := mountRegistry(t, f.host+"/org/model@"+moved.Digest.String())
	if got := other.cat(t, "weights.bin"); got != "two\n" {
		t.Errorf("by digest the file holds %q", got)
	}
	m.mountedAs(t, f.host+"/org/model:v1")
}

// TestPinnedImage mounts an index: the image for the host, as its root file
// system, or the files that are asked for.
func TestPinnedImage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "multi")
	m := mountRegistry(t, f.host+"/multi:latest", "--platform", "linux/arm64")
	if got := m.ls(t); !slices.Contains(got, "etc") {
		t.Errorf("the mount lists %q", got)
	}
	if got := mountRegistry(t, f.host+"/multi:latest", "--view", "files").ls(t); len(got) != 0 {
		t.Errorf("an image's layers have no titles, and its files are %q", got)
	}
}

// TestPinnedRootfs asks for the root file system of an image, and of an index:
// it is what they show anyway.
func TestPinnedRootfs(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	image, _ := fixtureManifest(t, f.addFixture(t, "multi"), "latest")
	for _, c := range []struct{ kind, reference, platform string }{
		{"image", "@" + image.String(), "linux/amd64"},
		{"index", ":latest", "linux/amd64"},
		{"index", ":latest", "linux/arm64"},
	} {
		t.Run(c.kind+", "+c.platform, func(t *testing.T) {
			target := f.host + "/multi" + c.reference
			m := mountRegistry(t, target, "--platform", c.platform, "--view", "rootfs")
			byDefault := mountRegistry(t, target, "--platform", c.platform)
			if got := m.ls(t); !slices.Contains(got, "etc") {
				t.Errorf("the mount lists %q", got)
			}
			sameListing(t, "--view rootfs", listing(t, m.dir, listFormat...), listing(t, byDefault.dir, listFormat...))
			output(t, "diff", "-r", "--no-dereference", m.dir, byDefault.dir)
		})
	}
}

// TestPinnedFails names what can't be mounted.
func TestPinnedFails(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.AddArtifact("app", "v1", "application/vnd.example", nil)
	f.addFixture(t, "multi")
	for _, c := range []struct {
		target string
		flags  []string
		says   []string
	}{
		{"/app:v2", nil, []string{"has no app:v2", "tag"}},
		{"/nothing:v1", nil, []string{"has no nothing:v1"}},
		{"/app:v1", []string{"--view", "rootfs"}, []string{"no image"}},
		{"/multi:latest", []string{"--platform", "plan9/amd64"}, []string{"plan9/amd64"}},
	} {
		m := prepare(t, f.host+c.target, c.flags...)
		m.refused(t, m.command(), 1, c.says...)
		if mounted(t, m.dir) {
			t.Errorf("%s: something is mounted", c.target)
		}
	}
}
