package kubernetes

import (
	"path/filepath"
	"strings"
	"testing"
)

// deploy is what installs the driver, and examples of pods.
const deploy = "../../cmd/orasfs-csi/deploy"

// The cluster takes what installs the driver, and the examples, without a warning. None of
// it stays there.
func TestTheClusterTakesWhatIsDeployed(t *testing.T) {
	examples, err := filepath.Glob(filepath.Join(deploy, "examples", "*.yaml"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("the examples are %q, %v", examples, err)
	}
	arguments := [][]string{{"--kustomize", filepath.Join(deploy, "kustomize")}}
	for _, example := range examples {
		arguments = append(arguments, []string{"--filename", example})
	}
	for _, given := range arguments {
		out, err := node.kubectl("", append([]string{"apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors"}, given...)...)
		if err != nil {
			t.Errorf("kubectl apply %s: %v\n%s", strings.Join(given, " "), err, out)
		}
		t.Log(out)
	}
}
