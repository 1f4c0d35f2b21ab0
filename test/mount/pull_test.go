package mount

import (
	"testing"
)

// TestPull compares files/ with what `oras pull` writes.
func TestPull(t *testing.T) {
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

// TestDirectory shows a directory that oras packed as the archive it pushed.
func TestDirectory(t *testing.T) {
	r := startDistribution(t)
	r.push(t, folder(t, map[string]string{"site/index.html": "<p>\n", "site/css/a.css": "p {}\n"}), "site:v1", "site")
	m := mountRegistry(t, r.host)

	archive := m.path("site/_tags/v1/files/site")
	if kind := m.stat(t, "%F", "site/_tags/v1/files/site"); kind != "regular file" {
		t.Fatalf("the directory is a %s", kind)
	}
	for _, name := range []string{"site/index.html", "site/css/a.css"} {
		if output(t, "tar", "-xzOf", archive, name) == "" {
			t.Errorf("%s in the archive is empty", name)
		}
	}
}
