package release

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCharts has helm install the chart, whose images are the release's.
func TestCharts(t *testing.T) {
	for build, version := range map[string]string{release: version, later: laterVersion} {
		chart := filepath.Join(build, "orasfs-csi-"+strings.TrimPrefix(version, "v")+".tgz")
		described := run(t, filepath.Join(tools, "helm"), "show", "chart", chart)
		manifests := run(t, filepath.Join(tools, "helm"), "template", "orasfs-csi", chart)
		for text, words := range map[string]string{
			described: "\nversion: " + strings.TrimPrefix(version, "v") + "\n",
			manifests: "\n          image: ghcr.io/orasfs/orasfs-csi:" + version + "\n",
		} {
			if !strings.Contains(text, words) {
				t.Errorf("the chart of %s doesn't have %q:\n%s", version, words, text)
			}
		}
	}
}
