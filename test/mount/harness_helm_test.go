package mount

import (
	"os/exec"
	"testing"
)

// A helm is the helm command with settings and caches of its own.
type helm struct{ dir string }

// in runs helm in a directory and gives what it printed.
func (h helm) in(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, "helm"), args...)
	cmd.Dir = dir
	cmd.Env = environment("HELM_CACHE_HOME="+h.dir+"/cache", "HELM_CONFIG_HOME="+h.dir+"/config", "HELM_DATA_HOME="+h.dir+"/data")
	return printed(t, cmd)
}
