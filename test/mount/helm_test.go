package mount

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A helm is the helm command with settings and caches of its own.
type helm struct{ dir string }

// in runs helm in a directory and gives what it printed.
func (h helm) in(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, "helm"), args...)
	cmd.Dir = dir
	cmd.Env = environment("HELM_CACHE_HOME="+h.dir+"/cache", "HELM_CONFIG_HOME="+h.dir+"/config", "HELM_DATA_HOME="+h.dir+"/data")
	return printed(t, cmd)
}

// TestHelm renders, checks and shows a chart of the mount, packed and unpacked,
// with the helm that pushed it: as it does the local one and what it pulls.
func TestHelm(t *testing.T) {
	r := startDistribution(t)
	h, dir, pulled := helm{t.TempDir()}, t.TempDir(), t.TempDir()
	h.in(t, dir, "create", "web")
	h.in(t, dir, "package", "web", "--version", "1.2.3")
	h.in(t, dir, "push", "--plain-http", "web-1.2.3.tgz", "oci://"+r.host+"/charts")
	h.in(t, pulled, "pull", "--plain-http", "oci://"+r.host+"/charts/web", "--version", "1.2.3")
	m := mountRegistry(t, r.host)
	files := m.path("charts/web:1.2.3/files")

	output(t, "cmp", filepath.Join(pulled, "web-1.2.3.tgz"), files+"/web-1.2.3.tgz")
	output(t, "tar", "-xzf", filepath.Join(pulled, "web-1.2.3.tgz"), "-C", pulled)
	output(t, "diff", "-r", filepath.Join(pulled, "web"), files+"/web")
	for _, command := range [][]string{
		{"template", "release"},
		{"template", "release", "--set", "replicaCount=3,ingress.enabled=true"},
		{"lint"},
		{"show", "chart"},
		{"show", "values"},
	} {
		run := func(chart string) string {
			return strings.ReplaceAll(h.in(t, dir, append(command, chart)...), chart, "CHART")
		}
		want := run(filepath.Join(pulled, "web-1.2.3.tgz"))
		if len(want) < 50 {
			t.Errorf("helm %q says only %q", command, want)
		}
		for _, chart := range []string{files + "/web-1.2.3.tgz", files + "/web", filepath.Join(pulled, "web")} {
			if got := run(chart); got != want {
				t.Errorf("helm %q of %s says\n%s\nnot\n%s", command, chart, got, want)
			}
		}
	}
}

// TestHelmProvenance verifies a signed chart where it is.
func TestHelmProvenance(t *testing.T) {
	r := startDistribution(t)
	r.pushFixture(t, "helm-chart")
	m := mountRegistry(t, r.host)
	keyring := filepath.Join(unpackLayout(t, "helm-chart"), "keys", "pubring.gpg")
	said := helm{t.TempDir()}.in(t, "", "verify", "--keyring", keyring, m.path("helm-chart:0.1.0/files/mychart-0.1.0.tgz"))
	for _, want := range []string{"Signed by: orasfs fixture", "Chart Hash Verified: " + digestOf(t, m.path("helm-chart:0.1.0/files/mychart-0.1.0.tgz"))} {
		if !strings.Contains(said, want) {
			t.Errorf("helm verify doesn't say %q:\n%s", want, said)
		}
	}
}

// digestOf is the digest of a file.
func digestOf(t testing.TB, file string) string {
	t.Helper()
	return "sha256:" + strings.Fields(output(t, "sha256sum", file))[0]
}
