package release

import (
	"net/http/httptest"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestDeb installs a package, mounts by fstab, upgrades and removes it.
func TestDeb(t *testing.T) {
	r := newDebian(t)
	before := r.list(t)
	r.dpkg(t, "--install", built(t, release, "*_"+runtime.GOARCH+".deb"))
	checkInstalled(t, r, "/usr/share/zsh/vendor-completions/_orasfs", "/usr/share/doc/orasfs/copyright")
	if got := r.run(t, "orasfs version"); got != programVersion(version) {
		t.Errorf("orasfs version prints %q", got)
	}
	t.Run("fstab", func(t *testing.T) { mountAll(t, r) })

	const settings = "/etc/orasfs/models.env"
	r.write(t, settings, "MOUNTPOINT=/mnt/oci\n")
	r.dpkg(t, "--install", "--no-force-downgrade", built(t, later, "*.deb"))
	if got := r.run(t, "orasfs version"); got != programVersion(laterVersion) {
		t.Errorf("after the upgrade orasfs version prints %q", got)
	}
	r.dpkg(t, "--remove", "orasfs")
	var left []string
	for _, path := range r.list(t) {
		if !slices.Contains(before, path) && !strings.HasPrefix(path, "var/lib/dpkg/") {
			left = append(left, path)
		}
	}
	// What the mount has cached, and mount(8) has written.
	left = slices.DeleteFunc(left, func(path string) bool {
		return path == "etc/fstab" || strings.HasPrefix(path, "var/cache") || strings.HasPrefix(path, "run/")
	})
	if want := []string{"etc/orasfs", "etc/orasfs/models.env"}; !slices.Equal(left, want) {
		t.Errorf("removed, the package leaves %q, expected %q", left, want)
	}
}

// newDebian is a root to install packages of Debian into.
func newDebian(t *testing.T) root {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("no dpkg: this isn't a Debian")
	}
	return newRoot(t, "sh", "cat", "mount", "sleep", "umount")
}

func (r root) dpkg(t *testing.T, args ...string) {
	t.Helper()
	run(t, "dpkg", append([]string{"--root=" + string(r), "--log=/dev/null"}, args...)...)
}

// mountAll mounts what fstab lists in a root, by both types, and reads it.
func mountAll(t *testing.T, r root) {
	needFUSE(t)
	server := httptest.NewServer(helloRegistry())
	defer server.Close()
	host := server.Listener.Addr().String()
	for _, fstype := range []string{"orasfs", "fuse.orasfs"} {
		r.write(t, "/etc/fstab", host+" /mnt/oci "+fstype+" _netdev,nofail,cache-dir=/var/cache/orasfs 0 0\n")
		if got := r.run(t, "mount -a; cat /mnt/oci/hello:v1/files/hello.txt; umount /mnt/oci"); got != "hello world\n" {
			t.Errorf("%s by fstab: the file holds %q", fstype, got)
		}
	}
}

// TestDebVersions sees that what comes after a release candidate is sorted after
// it, and before the release.
func TestDebVersions(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb: this isn't a Debian")
	}
	versionOf := func(build string) string {
		return strings.TrimSpace(run(t, "dpkg-deb", "--field", built(t, build, "*_"+runtime.GOARCH+".deb"), "Version"))
	}
	order := []string{versionOf(release), versionOf(later), "1.2.3-1", "1.2.3+1.g5bb19f1-1", "1.2.4-1"}
	for i := range order[1:] {
		run(t, "dpkg", "--compare-versions", order[i], "lt", order[i+1])
	}
}
