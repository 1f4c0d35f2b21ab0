package mount

import (
	"encoding/json"
	"os/exec"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// several is an artifact of several files, one in a folder, with annotations
// on everything that can have some.
var several = map[string]string{
	"res.tar.gz":     "not really an archive\n",
	"notes.txt":      "some notes\n",
	"docs/readme.md": "# Read me\n",
	"annotations.json": `{
		"$config": {"org.example.config": "of the config"},
		"$manifest": {
			"org.opencontainers.image.created": "2024-02-29T12:30:00Z",
			"org.opencontainers.image.description": "several files, ünïcode and \"quotes\"",
			"org.example.empty": ""
		},
		"res.tar.gz": {"org.example.kind": "archive", "oci.size": "an annotation of orasfs' own name"},
		"docs/readme.md": {"org.example.kind": "document", "org.example.lines": "first\nsecond"}
	}`,
}

func (r *registry) pushSeveral(t testing.TB) string {
	t.Helper()
	return r.push(t, folder(t, several), "hello-artifact:v3", "--artifact-type", "application/vnd.example.several.v1",
		"--annotation-file", "annotations.json", "res.tar.gz:application/gzip", "notes.txt", "docs/readme.md")
}

// craneIn is what crane prints.
func craneIn(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, "crane"), args...)
	cmd.Env = environment()
	return printed(t, cmd)
}

// skopeoCopy copies an image from a place, as skopeo names it, to a registry: all
// platforms of it.
func (r *registry) skopeoCopy(t testing.TB, from, reference string) {
	t.Helper()
	cmd := exec.Command(tool(t, "skopeo"), "--insecure-policy", "copy", "--all", "--dest-tls-verify=false",
		from, "docker://"+r.host+"/"+reference)
	cmd.Env = environment("TMPDIR=" + t.TempDir())
	printed(t, cmd)
}

// index is an index as crane fetches it, byte for byte and parsed.
func (r *registry) index(t testing.TB, reference string) (string, ocispec.Index) {
	t.Helper()
	content := craneIn(t, "manifest", r.host+"/"+reference)
	var index ocispec.Index
	if err := json.Unmarshal([]byte(content), &index); err != nil {
		t.Fatalf("%s: %v\n%s", reference, err, content)
	}
	return content, index
}

// asPulled compares a directory with what oras pulls of a reference, one layer
// after the other: at once it isn't the same each time where layers overlap.
func asPulled(t testing.TB, reference, dir string) {
	t.Helper()
	pulled := t.TempDir()
	orasIn(t, pulled, "pull", "--plain-http", "--concurrency", "1", reference)
	if output(t, "ls", "-A", pulled) == "" {
		t.Fatalf("oras pulled nothing of %s", reference)
	}
	d := try(t, "diff", "-r", "--no-dereference", pulled, dir)
	if d.code != 0 || d.stdout != "" || d.stderr != "" {
		t.Errorf("%s: exit code %d\n%s%s", d.command, d.code, d.stdout, d.stderr)
	}
}
