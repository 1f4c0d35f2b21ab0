package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// A registry is the CNCF's distribution without TLS.
type registry struct{ host string }

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %s}
`

// Who may read of a closed registry, and the password as htpasswd writes it (bcrypt).
const (
	username     = "reader"
	password     = "s3cret-p4ssword"
	htpasswdLine = username + ":$2a$04$toEkdB03TQMGzSOBb8FnCeIom9.gcLVeecc7Hy1vY41TyIwYtmfKa\n"
)

// openRegistry starts one for all, and closedRegistry one for those with the password.
// Either ends with the test.
func openRegistry(t *testing.T) registry { return startRegistry(t, "", http.StatusOK) }

func closedRegistry(t *testing.T) registry {
	users := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(users, []byte(htpasswdLine), 0o600); err != nil {
		t.Fatal(err)
	}
	return startRegistry(t, fmt.Sprintf("auth: {htpasswd: {realm: tests, path: %q}}\n", users), http.StatusUnauthorized)
}

// startRegistry starts a registry with further configuration and waits until it
// answers with a status.
func startRegistry(t *testing.T, more string, status int) registry {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := registry{listener.Addr().String()}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, registryConfig+more, filepath.Join(dir, "data"), r.host), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := node.startProcess("registry", filepath.Join(tools, "bin", "registry"), "serve", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	client := http.Client{Timeout: 5 * time.Second}
	if err := until("the registry answers", func() (bool, string) {
		response, err := client.Get("http://" + r.host + "/v2/")
		if err != nil {
			return false, err.Error()
		}
		return response.Body.Close() == nil && response.StatusCode == status, response.Status
	}, p); err != nil {
		t.Fatal(err)
	}
	return r
}

// push pushes files, by name, as an artifact, and gives what it is called.
func (r registry) push(t *testing.T, reference string, files map[string]string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	name := r.host + "/" + reference
	args := append([]string{"push", "--plain-http", name}, flags...)
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "bin", "oras"), args...)
	cmd.Dir = dir
	cmd.Env = node.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("oras push %s: %v\n%s", name, err, out)
	}
	return name
}

// secret is a manifest of a secret with a password for the registry, as kubectl create
// secret docker-registry makes it.
func (r registry) secret(t *testing.T, name, password string) string {
	t.Helper()
	return see(t, "create", "secret", "docker-registry", name, "--docker-server", r.host,
		"--docker-username", username, "--docker-password", password, "--dry-run=client", "--output", "yaml")
}

// sum is a file's digest as sha256sum prints it.
func sum(content string) string { return digest.FromString(content).Encoded() }
