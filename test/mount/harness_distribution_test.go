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

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A registry is a real one in a process of its own, with a temporary directory,
// on a port that was free.
type registry struct {
	host string
	*process
}

// registries start an empty registry of each kind.
var registries = map[string]func(t testing.TB) *registry{
	"distribution":     startDistribution,
	"distribution 2.8": startDistribution2,
	"olareg":           startOlareg,
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

// startDistribution starts the CNCF's distribution.
func startDistribution(t testing.TB) *registry {
	t.Helper()
	port := freePort(t)
	return startDistributionOn(t, distribution, port, "").answers(t, http.DefaultClient, localhost(port), http.StatusOK)
}

// startDistribution2 starts the one before, which many still run.
func startDistribution2(t testing.TB) *registry {
	t.Helper()
	port := freePort(t)
	return startDistributionOn(t, tool(t, "docker-registry"), port, "").answers(t, http.DefaultClient, localhost(port), http.StatusOK)
}

// startDistributionOn starts a distribution with further lines of
// configuration, which begin in the section http.
func startDistributionOn(t testing.TB, program string, port int, more string) *process {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf(distributionConfig, filepath.Join(dir, "data"), fmt.Sprint("127.0.0.1:", port)) + more
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.Env = environment("OTEL_TRACES_EXPORTER=none")
	return start(t, cmd)
}

// startOlareg starts olareg, which has the referrers API and no catalog.
func startOlareg(t testing.TB) *registry {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(tool(t, "olareg"), "serve", "--addr", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", t.TempDir())
	return start(t, cmd).answers(t, http.DefaultClient, localhost(port), http.StatusOK)
}

// freePort is a port that was free.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().(*net.TCPAddr).Port
}

// localhost is where a registry listens. By this name, and by no other, oras
// takes it for plain HTTP.
func localhost(port int) string { return fmt.Sprintf("http://localhost:%d", port) }

// answers waits until the registry that a process serves answers.
func (p *process) answers(t testing.TB, client *http.Client, url string, status int) *registry {
	t.Helper()
	eventually(t, "the registry answers", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("the registry has ended:\n%s%s", p.stdout.String(), p.stderr.String())
		default:
		}
		response, err := client.Get(url + "/v2/")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == status
	})
	_, host, _ := strings.Cut(url, "://")
	return &registry{host, p}
}

// orasIn runs the oras command in a directory and gives what it printed.
func orasIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(oras, args...)
	cmd.Dir = dir
	cmd.Env = environment()
	return printed(t, cmd)
}

// printed runs a command that has to succeed and gives what it printed.
func printed(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
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
	return digestIn(t, orasIn(t, dir, append([]string{"push", r.host + "/" + reference}, args...)...))
}

// digestIn is the digest that oras printed of what it pushed.
func digestIn(t testing.TB, printed string) string {
	t.Helper()
	match := pushedDigest.FindStringSubmatch(printed)
	if match == nil {
		t.Fatalf("oras printed no digest:\n%s", printed)
	}
	return match[1]
}

// fallbackTag is a tag that holds a list of referrers (distribution-spec,
// "Referrers Tag Schema").
var fallbackTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)

// pushFixture pushes a layout of testdata, each of its tags with what refers to
// it, as the repository of that name, and gives the tags. The lists of referrers
// oras makes anew.
func (r *registry) pushFixture(t testing.TB, name string) []string {
	t.Helper()
	var index ocispec.Index
	readJSON(t, openFixture(t, name), ocispec.ImageIndexFile, &index)
	layout := unpackLayout(t, name)
	var tags []string
	for _, m := range index.Manifests {
		if tag := m.Annotations[ocispec.AnnotationRefName]; tag != "" && !fallbackTag.MatchString(tag) {
			orasIn(t, "", "cp", "-r", "--from-oci-layout", layout+":"+tag, r.host+"/"+name+":"+tag)
			tags = append(tags, tag)
		}
	}
	return tags
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
