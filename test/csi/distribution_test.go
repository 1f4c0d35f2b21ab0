//go:build linux

package csi

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tool is a program that scripts/test installs.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(filepath.Join(os.Getenv("ORASFS_TEST_TOOLS"), name))
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v (scripts/test csi sets ORASFS_TEST_TOOLS)", name, err)
	}
	t.Skipf("%s: %v (scripts/test csi sets ORASFS_TEST_TOOLS)", name, err)
	return ""
}

// startPullThrough starts the CNCF's distribution as a pull-through cache of a registry,
// and returns its HOST:PORT.
func startPullThrough(t *testing.T, upstream string) (host string) {
	t.Helper()
	program := tool(t, "registry")
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\nproxy: {remoteurl: %q}\n", filepath.Join(dir, "data"), host, "http://"+upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(logBuffer)
	cmd := exec.Command(program, "serve", config) //nolint:gosec,noctx // ended below
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("the pull-through cache's log:\n%s", log)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + host + "/v2/") //nolint:gosec,noctx // ours
		if err == nil {
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			return host
		}
		if time.Now().After(end) {
			t.Fatalf("the pull-through cache doesn't answer: %v", err)
		}
	}
}
