// Package kubernetes tests the CSI driver as those have it who run pods: on a node
// whose kubelet, API server and container runtime are real. scripts/test-kubernetes
// builds what that takes and runs the tests in namespaces that end with them.
package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var (
	// node is what all tests share: one node, and the driver on it.
	node *cluster
	// tools is the folder of the pinned tools and of Kubernetes' programs.
	tools string
)

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir := os.Getenv("ORASFS_TEST_NODE")
	if dir == "" {
		fmt.Println("skipped, all tests on a Kubernetes node: scripts/test-kubernetes runs them")
		return 0
	}
	tools = filepath.Clean(os.Getenv("ORASFS_TEST_TOOLS"))
	node = newCluster(dir)
	defer node.stop()
	for _, start := range []func() error{node.start, node.startDriver} {
		if err := start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
