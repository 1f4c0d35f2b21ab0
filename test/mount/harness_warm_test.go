package mount

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// warmCommand is orasfs warm, with the mount's cache.
func (m *mount) warmCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(m.binary, append([]string{"warm", "--cache-dir", m.cache}, args...)...)
	cmd.Env = m.environment()
	m.user.runs(cmd)
	return cmd
}

// warm fails the test unless all is here afterwards.
func (m *mount) warm(t testing.TB, args ...string) result {
	t.Helper()
	r := finish(t, m.warmCommand(args...))
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	return r
}

// A warmReport is what orasfs warm prints as JSON.
type warmReport struct {
	Parts []struct {
		Reference, Name, Digest string
		Size, Here              int64
	}
	Size, Here int64
	Failed     []struct{ Reference, Reason string }
}

// warmed runs orasfs warm, and gives its report.
func (m *mount) warmed(t testing.TB, code int, args ...string) (report warmReport) {
	t.Helper()
	r := finish(t, m.warmCommand(append([]string{"--format", "json"}, args...)...))
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != code {
		t.Fatalf("%s: exit code %d, not %d, %v\n%s%s", r.command, r.code, code, err, r.stdout, r.stderr)
	}
	return report
}

// here is how much is here of a blob.
func (r *warmReport) here(d digest.Digest) int64 {
	for _, p := range r.Parts {
		if p.Digest == d.String() {
			return p.Here
		}
	}
	return -1
}

// outOfReach has the registry answer nothing any more.
func (f *fake) outOfReach() (back func()) {
	return f.Inject(fakeregistry.Fault{Status: http.StatusServiceUnavailable})
}

// holds tells whether there is anything of a blob in the cache.
func (m *mount) holds(t testing.TB, d digest.Digest) bool {
	t.Helper()
	found := 0
	for _, pattern := range []string{"blobs/sha256/" + d.Encoded(), "partial/sha256-" + d.Encoded() + "*"} {
		files, err := filepath.Glob(filepath.Join(m.cache, "v2", pattern))
		if err != nil {
			t.Fatal(err)
		}
		found += len(files)
	}
	return found > 0
}

// blobDigest is the digest of a layer.
func blobDigest(l layer) digest.Digest { return digest.FromBytes(l.blob) }
