// Package release tests what scripts/package builds as those have it who install
// it: by dpkg and rpm in a root of its own, from a tarball, as a container image.
package release

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// tools is the directory of the pinned tools.
var tools string

// The builds that the tests look at, each a directory.
var (
	release string // of version
	again   string // the same, from another directory of the sources, in git
	later   string // of laterVersion, a commit after version, for this machine alone
)

// The version that is given to the first build, and a tag in the second; the time
// of both.
const (
	version = "v1.2.3-rc1"
	epoch   = "1700000000"
)

// laterVersion is what git describes a commit later.
var laterVersion string

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if err := prerequisites(); err != nil {
		// Who says where the tools are has installed them.
		if os.Getenv("CI") == "true" || os.Getenv("ORASFS_TEST_TOOLS") != "" {
			fmt.Fprintln(os.Stderr, "the tests of a release can't run:", err)
			return 1
		}
		fmt.Println("skipped, all tests of a release:", err)
		return 0
	}
	dir, err := os.MkdirTemp("", "orasfs-release-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func prerequisites() error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return fmt.Errorf("no Linux package is for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	var err error
	tools, err = filepath.Abs(cmp.Or(os.Getenv("ORASFS_TEST_TOOLS"), "../../.tools/bin"))
	if err != nil {
		return err
	}
	for _, program := range []string{filepath.Join(tools, "crane"), filepath.Join(tools, "helm"), filepath.Join(tools, "nfpm"), filepath.Join(tools, "oras"), "git", "gzip", "rpm", "tar"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: scripts/test installs what is missing", err)
		}
	}
	return nil
}

// build makes the builds in a directory.
func build(dir string) error {
	release, again, later = filepath.Join(dir, "release"), filepath.Join(dir, "again"), filepath.Join(dir, "later")
	plain, inGit := filepath.Join(dir, "plain"), filepath.Join(dir, "elsewhere", "in-git")
	for _, tree := range []string{plain, inGit} {
		if err := copySources(tree); err != nil {
			return err
		}
	}
	git := func(args ...string) (string, error) {
		return output(inGit, []string{"GIT_AUTHOR_DATE=" + epoch + " +0000", "GIT_COMMITTER_DATE=" + epoch + " +0000", "GIT_CONFIG_GLOBAL=/dev/null"},
			"git", append([]string{"-c", "user.name=test", "-c", "user.email=test@localhost"}, args...)...)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-qm", "all of it"}, {"tag", version}} {
		if _, err := git(args...); err != nil {
			return err
		}
	}
	if _, err := output(plain, []string{"ORASFS_VERSION=" + version, "SOURCE_DATE_EPOCH=" + epoch}, "scripts/package", release); err != nil {
		return err
	}
	// Another user's settings mustn't show.
	odd := []string{"XDG_CACHE_HOME=/nowhere", "TZ=Asia/Tokyo", "ORASFS_CACHE_SIZE=1GiB", "ORASFS_VERSION=", "SOURCE_DATE_EPOCH="}
	gocache, err := output(plain, nil, "go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	odd = append(odd, "GOCACHE="+strings.TrimSpace(gocache))
	if _, err := output(inGit, odd, "sh", "-c", `umask 077; exec scripts/package "$@"`, "sh", again); err != nil {
		return err
	}
	if _, err := git("commit", "-q", "--allow-empty", "-m", "more"); err != nil {
		return err
	}
	described, err := git("describe", "--tags")
	laterVersion = strings.TrimSpace(described)
	if err != nil {
		return err
	}
	_, err = output(inGit, odd, "scripts/package", later, "linux-"+runtime.GOARCH)
	return err
}

// copySources copies what a release is made of, with the tools at hand.
func copySources(to string) error {
	for _, name := range []string{"LICENSE", "README.md", "go.mod", "go.sum", "cache", "cmd", "fs", "resolver", "scripts"} {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if _, err := output("../..", nil, "cp", "-R", name, to); err != nil {
			return err
		}
	}
	scripts, err := filepath.Glob(filepath.Join(to, "scripts/*"))
	if err != nil {
		return err
	}
	for _, script := range scripts { // a copy of the module may not run
		if err := os.Chmod(script, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(to, ".gitignore"), []byte("/.tools\n"), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(to, ".tools"), 0o755); err != nil {
		return err
	}
	return os.Symlink(tools, filepath.Join(to, ".tools/bin"))
}

// output runs a program in a directory, with variables added to the environment,
// and gives what it prints to standard output.
func output(dir string, env []string, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// run is output in the current directory of what has to work.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := output(".", nil, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// built is the one file of a build that a pattern matches.
func built(t *testing.T, build, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(build, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s of the build: %q, %v", pattern, found, err)
	}
	return found[0]
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// rpmArch is this machine's architecture as rpm and apk call it.
func rpmArch() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
}
