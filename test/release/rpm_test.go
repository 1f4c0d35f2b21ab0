package release

import (
	"os"
	"strings"
	"testing"
)

// TestRPM installs a package, upgrades and removes it.
func TestRPM(t *testing.T) {
	r := newRoot(t, "sh")
	rpm := func(args ...string) string {
		t.Helper()
		return run(t, "rpm", append([]string{"--root", string(r), "--nodeps"}, args...)...)
	}
	first := built(t, release, "*."+rpmArch()+".rpm")
	run(t, "rpm", "--checksig", "--nosignature", first)
	if got := run(t, "rpm", "-qp", "--recommends", first); got != "fuse3\n" {
		t.Errorf("the package recommends %q", got)
	}
	rpm("--install", first)
	checkInstalled(t, r, "/usr/share/zsh/site-functions/_orasfs", "/usr/share/licenses/orasfs/LICENSE")
	if got := r.run(t, "orasfs version"); got != programVersion(version) {
		t.Errorf("orasfs version prints %q", got)
	}
	rpm("--upgrade", built(t, later, "*.rpm"))
	if got := r.run(t, "orasfs version"); got != programVersion(laterVersion) {
		t.Errorf("after the upgrade orasfs version prints %q", got)
	}
	if err := os.WriteFile(r.path("/etc/orasfs/models.env"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rpm("--erase", "orasfs")
	var left []string
	for _, path := range r.list(t) {
		if strings.Contains(path, "orasfs") {
			left = append(left, path)
		}
	}
	if got := strings.Join(left, " "); got != "etc/orasfs etc/orasfs/models.env" {
		t.Errorf("removed, the package leaves %s", got)
	}
}
