package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// needsMountNamespace are settings of systemd that give a service a mount namespace
// of its own, where nobody else would see its mount.
var needsMountNamespace = []string{"PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "BindPaths", "TemporaryFileSystem", "RootDirectory", "DynamicUser"}

// TestUnit has systemd read its unit.
func TestUnit(t *testing.T) {
	name := "orasfs-" + version + "-linux-" + runtime.GOARCH
	unit := readFile(t, "../../scripts/packaging/orasfs@.service")
	for line := range strings.Lines(unit) {
		for _, setting := range needsMountNamespace {
			if strings.HasPrefix(line, setting+"=") {
				t.Errorf("%s hides the mount from everybody else", strings.TrimSpace(line))
			}
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	run(t, "tar", "-C", dir, "--strip-components=1", "-xf", filepath.Join(release, name+".tar.gz"), name+"/orasfs")
	path := filepath.Join(dir, "orasfs@.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/bin/orasfs", filepath.Join(dir, "orasfs"))), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
