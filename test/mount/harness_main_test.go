// Package mount tests orasfs as a user has it: the command that is built, a
// daemon in a process of its own, a mount in the kernel, and in front of it the
// programs that people use, cat and ls, getfattr and diff.
//
// The registry is a real one, mostly the CNCF's, filled by the oras command and
// others, or, where a registry has to misbehave, fakeregistry. No test touches a mount from its own
// process: a filesystem that hangs must fail a test, not hang it.
//
// The files harness_*_test.go are what the tests are made with: what starts registries,
// mounts and programs, what is pushed, and what is compared. Every other file holds
// tests, by what they are about, and what they alone need.
package mount

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs under test and the tools they are tested with.
var (
	// orasfs is built with the race detector.
	orasfs string
	// orasfsLean is built as it is shipped, where memory is measured.
	orasfsLean string

	oras         string
	distribution string
)

// tools are further programs that scripts/test installs, and where they are.
var tools = map[string]string{
	"cosign2": "", "cosign3": "", "crane": "", "docker-registry": "", "gomtree": "", "helm": "", "notation": "", "olareg": "",
	"promtool": "", "skopeo": "", "umoci": "",
}

// tool is one of the programs that scripts/test installs.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, ok := tools[name]
	if !ok {
		t.Fatalf("nobody has looked for %s", name)
	}
	return path
}

func TestMain(m *testing.M) {
	if task, ok := os.LookupEnv(taskVariable); ok {
		os.Exit(perform(task, os.Args[1:]))
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	_, noFUSE := os.Stat("/dev/fuse")
	if err := cmp.Or(noFUSE, prerequisites()); err != nil {
		// Who says where the tools are has installed them; a module of the kernel
		// nobody can.
		installed := os.Getenv("ORASFS_TEST_TOOLS") != ""
		if os.Getenv("CI") == "true" || noFUSE == nil && installed {
			fmt.Fprintln(os.Stderr, "the mount tests can't run:", err)
			return 1
		}
		fmt.Println("skipped, all mount tests:", err)
		return 0
	}
	dir, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	restore, err := openFUSE()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := restore(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// prerequisites finds the programs that the tests need. scripts/test installs
// them, and says by ORASFS_TEST_TOOLS where the tools are.
func prerequisites() error {
	for _, program := range []string{"fusermount3", "getfattr"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: scripts/test installs it", err)
		}
	}
	dir := os.Getenv("ORASFS_TEST_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".tools", "bin")
	}
	var err error
	if oras, err = find(dir, "oras"); err != nil {
		return err
	}
	if distribution, err = find(dir, "registry"); err != nil {
		return err
	}
	for name := range tools {
		if tools[name], err = find(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// find looks for a program in a directory, then on the PATH.
func find(dir, name string) (string, error) {
	if path, err := filepath.Abs(filepath.Join(dir, name)); err != nil {
		return "", err
	} else if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: scripts/test installs it", err)
	}
	return path, nil
}

// raceFlags are what a program with the race detector is built with; scripts/test may say
// more of it.
func raceFlags() []string {
	return strings.Fields(cmp.Or(os.Getenv("ORASFS_TEST_RACE"), "-race"))
}

// build compiles the command twice into a temporary directory that other users
// can reach.
func build() (dir string, err error) {
	dir, err = os.MkdirTemp("", "orasfs-mount-test-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "run"), 0o700)); err != nil {
		return "", err
	}
	orasfs, orasfsLean = filepath.Join(dir, "orasfs"), filepath.Join(dir, "orasfs-lean")
	for _, flags := range [][]string{append(raceFlags(), "-o", orasfs), {"-o", orasfsLean}} {
		args := append(append([]string{"build", "-buildvcs=false"}, flags...), "github.com/orasfs/orasfs/cmd/orasfs")
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return dir, nil
}
