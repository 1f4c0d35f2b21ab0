package mount

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A registry is the CNCF's distribution in a process of its own, with a
// temporary directory, on a port that was free.
type registry struct {
	host string
	*process
}

const distributionConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
http:
  addr: %s
`

// startDistribution starts an empty registry.
func startDistribution(t testing.TB) *registry {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// By this name, and by no other, oras takes it for plain HTTP.
	host := fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf(distributionConfig, filepath.Join(dir, "data"), listener.Addr())
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(distribution, "serve", config)
	cmd.Env = environment("OTEL_TRACES_EXPORTER=none")
	r := &registry{host: host, process: start(t, cmd)}
	eventually(t, "the registry answers", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("the registry has ended:\n%s%s", r.stdout.String(), r.stderr.String())
		default:
		}
		response, err := http.Get("http://" + host + "/v2/")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	return r
}

// orasIn runs the oras command in a directory and gives what it printed.
func orasIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(oras, args...)
	cmd.Dir = dir
	cmd.Env = environment()
	r := finish(t, cmd)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

var pushedDigest = regexp.MustCompile(`(?m)^Digest: (sha256:[0-9a-f]{64})$`)

// push pushes files of a directory and gives the digest that oras printed.
func (r *registry) push(t testing.TB, dir, reference string, args ...string) string {
	t.Helper()
	printed := orasIn(t, dir, append([]string{"push", r.host + "/" + reference}, args...)...)
	match := pushedDigest.FindStringSubmatch(printed)
	if match == nil {
		t.Fatalf("oras push printed no digest:\n%s", printed)
	}
	return match[1]
}

// hexOf is a digest without its algorithm.
func hexOf(digest string) string {
	return strings.TrimPrefix(digest, "sha256:")
}

// folder makes a directory with these files in it, by path.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hello is the artifact of ORAS's own documentation.
var hello = map[string]string{"artifact.txt": "hello world\n"}

const helloDigest = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
