package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestVerifiers has programs decide, and counts how often.
func TestVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	good, bad := f.addText("app", "good", "good"), f.addText("app", "bad", "bad")
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	child := f.addText("app", "", "child")
	child.Platform = host()
	index.Manifests = []ocispec.Descriptor{child}
	listed := f.AddManifest("app", "index", index.MediaType, asJSON(t, index))
	dir, counted := verifierDir(t, fmt.Sprintf(`echo $digest >>$counted
echo "I looked at $name"
test $digest = %s || test $digest = %s`, good.Digest, listed.Digest))
	m := mountRegistry(t, f.host, "--verifier-dir", dir)
	for _, file := range []string{"app:good/files/text.txt", "app:good/layers/00-text.txt", "app/_blobs/sha256/" + digest.FromString("good").Encoded(), "app:good/layout/blobs/sha256/" + digest.FromString("good").Encoded()} {
		if got := m.cat(t, file); got != "good" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	m.cat(t, "app:good/layout.tar")
	for _, file := range []string{"app:index/files/text.txt", manifestPath("app", child.Digest) + "/files/text.txt", "app:index/platforms/linux-" + runtime.GOARCH + "/layers/00-text.txt"} {
		if got := m.cat(t, file); got != "child" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	fails(t, noAccess, "cat", m.path("app:bad/manifest.json"))
	m.logs(t, "ERROR", bad.Digest.String(), "denied by verifier check: exit code 1: I looked at "+f.host+"/app@"+bad.Digest.String())
	if got, want := linesOf(t, counted), []string{good.Digest.String(), listed.Digest.String(), bad.Digest.String()}; !slices.Equal(got, want) {
		t.Errorf("asked about %q, want once about each of %q", got, want)
	}
	if got := m.xattr(t, "user.oci.verified", manifestPath("app", child.Digest)); !strings.HasPrefix(got, "index "+listed.Digest.String()+", verifier check: I looked at ") {
		t.Errorf("the child is verified by %q", got)
	}
}

// TestBadVerifiers has programs that hang, crash and talk, and none.
func TestBadVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addText("app", "v1", "text")
	for name, test := range map[string]struct{ script, why string }{
		"hangs":             {"sleep 1000 & wait", "longer than 1s"},
		"crashes":           {"kill -SEGV $$", "crashed"},
		"prints a megabyte": {"head -c 1000000 /dev/zero | tr '\\0' x; exit 1", "exit code 1: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := verifierDir(t, test.script)
			timeout := "1h"
			if name == "hangs" {
				timeout = "1s"
			}
			m := mountRegistry(t, f.host, "--verifier-dir", dir, "--verifier-timeout", timeout)
			fails(t, noAccess, "cat", m.path("app:v1/files/text.txt"))
			m.logs(t, "ERROR", "EACCES", "denied by verifier check", test.why)
		})
	}
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		dir, _ := verifierDir(t, "exit 0")
		m := mountRegistry(t, f.host, "--verifier-dir", dir)
		if err := os.Remove(filepath.Join(dir, "check")); err != nil {
			t.Fatal(err)
		}
		fails(t, noAccess, "cat", m.path("app:v1/files/text.txt"))
	})
}

// TestWrongVerifiers is told at mount time.
func TestWrongVerifiers(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	dir, _ := verifierDir(t, "exit 0")
	none := filepath.Join(dir, "none")
	for why, flags := range map[string][]string{
		"--verifier-dir: ":              {"--verifier-dir", none},
		"holds no verifier":             {"--verifier-dir", t.TempDir()},
		"no such file":                  {"--verify-key", none},
		"isn't a public key":            {"--verify-key", filepath.Join(dir, "check")},
		"none: no such file":            {"-o", "verify-key=" + none},
		"--verifier-timeout must be mo": {"--verifier-timeout", "0s"},
	} {
		if r := finish(t, prepare(t, f.host, flags...).command()); r.code == 0 || !strings.Contains(r.stderr, why) {
			t.Errorf("%s: exit code %d, %s", r.command, r.code, r.stderr)
		}
	}
}
