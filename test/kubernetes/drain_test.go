package kubernetes

import (
	"fmt"
	"testing"
)

// A node that is drained is as it was before there were pods.
func TestADrainedNodeIsEmpty(t *testing.T) {
	reference := openRegistry(t).push(t, "models/tiny:v1", map[string]string{"weights.bin": "heavy\n"})
	var pods []pod
	for i := range 3 {
		p := pod{name: fmt.Sprint("drained-", i), volume: inline(fmt.Sprintf("reference: %q", reference)), script: "cat /data/weights.bin" + stay}
		p.create(t)
		pods = append(pods, p)
	}
	for _, p := range pods {
		p.says(t, "heavy")
	}
	show(t, "get", "pods")
	t.Cleanup(func() { see(t, "uncordon", nodeName) })
	show(t, "drain", nodeName, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", patience.String())
	leavesNothing(t)
}
