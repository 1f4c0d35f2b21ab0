package mount

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestHelm renders, checks and shows a chart of the mount, packed and unpacked,
// with the helm that pushed it: as it does the local one and what it pulls.
func TestHelm(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

// TestHelmFolders renders charts whose archives call the chart's directory
// something else, or have the names of Windows: as helm does what it has pulled and
// unpacked.
func TestHelmFolders(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	h, dir := helm{t.TempDir()}, t.TempDir()
	h.in(t, dir, "create", "web")
	original := filepath.Join(dir, "web")
	packed := func(name func(file string) string) []byte {
		var items []item
		for _, file := range listing(t, original, "-type", "f", "-printf", `%P\0`) {
			content, err := os.ReadFile(filepath.Join(original, file))
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, regular(name(file), string(content)))
		}
		return gzipped(t, tarOf(t, items...))
	}
	charts := map[string][]byte{
		"as-it-is":   packed(func(file string) string { return "web/" + file }),
		"other-name": packed(func(file string) string { return "something.else/" + file }),
		"windows":    packed(func(file string) string { return `web\` + strings.ReplaceAll(file, "/", `\`) }),
		"mixed":      packed(func(file string) string { return `C/web\` + file }),
		"several":    packed(func(file string) string { return "abc"[len(file)%3:][:1] + "/" + file }),
		"mixed-names": packed(func(file string) string {
			return []string{"web/" + file, `web\` + strings.ReplaceAll(file, "/", `\`)}[len(file)%2]
		}),
	}
	for repo, content := range charts {
		f.addModel(t, repo, "application/vnd.cncf.helm.config.v1+json", `{"name":"web","version":"0.1.0"}`,
			f.addLayer(repo, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", content))
	}
	m := mountRegistry(t, f.host)
	for repo, content := range charts {
		t.Run(repo, func(t *testing.T) {
			pulled := t.TempDir()
			h.in(t, pulled, "pull", "--plain-http", "--untar", "oci://"+f.host+"/"+repo+":v1")
			f.Reset()
			files := m.path(repo+":v1/files") + "/"
			if got := m.ls(t, repo+":v1/files"+"/"); !slices.Equal(got, []string{"web", "web-0.1.0.tgz"}) {
				t.Errorf("files/ holds %q", got)
			}
			output(t, "ls", "-l", files)
			if n := f.fetched(digest.FromBytes(content)); n != 0 {
				t.Errorf("to list it %d bytes of the chart were fetched", n)
			}
			output(t, "diff", "-r", filepath.Join(pulled, "web"), files+"web")
			want := h.in(t, dir, "template", "release", filepath.Join(pulled, "web"))
			if got := h.in(t, dir, "template", "release", files+"web"); got != want || len(want) < 50 {
				t.Errorf("helm renders\n%s\nnot\n%s", got, want)
			}
		})
	}
}

// TestTitledChart shows a chart that oras pushed: its layer has a title, by which
// oras pulls it, and no other name.
func TestTitledChart(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	h, dir := helm{t.TempDir()}, t.TempDir()
	h.in(t, dir, "create", "web")
	h.in(t, dir, "package", "web", "--version", "1.2.3")
	output(t, "cp", filepath.Join(dir, "web-1.2.3.tgz"), filepath.Join(dir, "mine.tgz"))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"name":"web","version":"1.2.3"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mountRegistry(t, r.host)
	for _, name := range []string{"web-1.2.3.tgz", "mine.tgz"} {
		repo := "titled/" + strings.TrimSuffix(name, ".tgz")
		r.push(t, dir, repo+":1.2.3", "--config", "config.json:application/vnd.cncf.helm.config.v1+json",
			name+":application/vnd.cncf.helm.chart.content.v1.tar+gzip")
		asPulled(t, r.host+"/"+repo+":1.2.3", m.path(repo+":1.2.3/files")+"/")
		h.in(t, dir, "template", "release", m.path(repo+":1.2.3/files", name))
	}
}
