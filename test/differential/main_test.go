package differential

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv(taskVariable) != "" {
		if err := serveRequests(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(runAll(m))
}

// unfit is why no image can be compared on this machine, if so.
var unfit error

func runAll(m *testing.M) int {
	syscall.Umask(0o022) // umoci makes directories that no entry names with it
	if unfit = prerequisites(); unfit != nil {
		if os.Getenv("CI") == "true" {
			fmt.Fprintln(os.Stderr, "the differential tests can't run:", unfit)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "orasfs-differential-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	orasfs = filepath.Join(dir, "orasfs")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", orasfs, "github.com/orasfs/orasfs/cmd/orasfs")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, out)
		return 1
	}
	return m.Run()
}

// prerequisites tells what is missing: the oracles make devices and give files
// away.
func prerequisites() error {
	if os.Getuid() != 0 {
		return errors.New("layers are applied as root alone, with devices and owners")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return err
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return fmt.Errorf("%w: scripts/test installs it", err)
	}
	f, err := os.CreateTemp("", "orasfs-differential-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // a temporary file
	defer f.Close()           //nolint:errcheck // empty
	if err := unix.Fsetxattr(int(f.Fd()), "user.a", []byte("1"), 0); err != nil {
		return fmt.Errorf("extended attributes in %s: %w", os.TempDir(), err)
	}
	return quiet()
}

// needsMount skips the test where nothing can be mounted or applied.
func needsMount(t *testing.T) {
	t.Helper()
	if unfit != nil {
		t.Skip(unfit)
	}
}
