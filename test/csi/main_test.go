//go:build linux

// Package csi tests orasfs-csi as kubelet has it: the driver that is built, called over
// its socket, and the volumes that it leaves in the kernel, read by other processes than
// those that serve them.
//
// The files harness_*_test.go are what the tests are made with: nodes and their drivers,
// volumes of pods, registries. Every other file holds tests, by what they are about.
package csi

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs under test, beside each other, and who runs what serves volumes.
var orasfs, driver, runner = "", "", "child"

// What TestUnderSystemd says to those tests that it runs there: where the programs are,
// and who is the runner.
const (
	programsVariable = "ORASFS_TEST_PROGRAMS"
	runnerVariable   = "ORASFS_TEST_RUNNER"
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	if reason := missing(); reason != "" {
		if os.Getenv("CI") == "true" {
			fmt.Fprintln(os.Stderr, "the tests of the CSI driver can't run:", reason)
			return 1
		}
		fmt.Println("skipped, all tests of the CSI driver:", reason)
		return 0
	}
	if dir := os.Getenv(programsVariable); dir != "" {
		orasfs, driver, runner = filepath.Join(dir, "orasfs"), filepath.Join(dir, "orasfs-csi"), os.Getenv(runnerVariable)
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "orasfs-csi-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	orasfs, driver = filepath.Join(dir, "orasfs"), filepath.Join(dir, "orasfs-csi")
	race := strings.Fields(cmp.Or(os.Getenv("ORASFS_TEST_RACE"), "-race")) // scripts/test may say more of it
	for program, build := range map[string][]string{orasfs: {"-o", orasfs, "../../cmd/orasfs"}, driver: append(race, "-o", driver, "../../cmd/orasfs-csi")} {
		if output, err := exec.Command("go", append([]string{"build"}, build...)...).CombinedOutput(); err != nil { //nolint:gosec,noctx // ours
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", program, err, output)
			return 1
		}
	}
	return m.Run()
}

// missing is why there can be no tests here, "" if there can.
func missing() string {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return "there is no /dev/fuse (Linux with the fuse module has it)"
	}
	if os.Geteuid() != 0 {
		return "only root can mount for others"
	}
	return ""
}
