package mount

import (
	"testing"
)

// TestPull compares files/ with what `oras pull` writes.
func TestPull(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	r.pushSeveral(t)
	m := mountRegistry(t, r.host)

	for _, tag := range []string{"v1", "v3"} {
		pulled := t.TempDir()
		orasIn(t, pulled, "pull", r.host+"/hello-artifact:"+tag)
		if output(t, "ls", "-A", pulled) == "" {
			t.Fatalf("oras pulled nothing of %s", tag)
		}
		r := try(t, "diff", "-r", pulled, m.path("hello-artifact/_tags", tag, "files"))
		if r.code != 0 || r.stdout != "" || r.stderr != "" {
			t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
		}
	}
}

// TestDirectory shows a directory that oras packed: unpacked in files, and in
// layers the archive that it pushed.
func TestDirectory(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	site := map[string]string{"site/index.html": "<p>\n", "site/css/a.css": "p {}\n"}
	r.push(t, folder(t, site), "site:v1", "site")
	m := mountRegistry(t, r.host)
	for name, content := range site {
		if got := m.cat(t, "site/_tags/v1/files", name); got != content {
			t.Errorf("files/%s holds %q", name, got)
		}
		if got := output(t, "tar", "-xzOf", m.path("site/_tags/v1/layers/00-site"), name); got != content {
			t.Errorf("the raw layer's %s holds %q", name, got)
		}
	}
}
