//go:build linux

package csi

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// underSystemd are the tests that TestUnderSystemd runs again.
const underSystemd = "^(TestPublish|TestDriverIsKilled|TestServingProcessIsKilled|TestPublishedAgainInVain|TestRefused|TestArguments|TestNewPassword|TestGivenUp|TestManyCalls|TestRandomOrder)$"

// TestUnderSystemd has a real systemd run what serves volumes, and goes through tests
// with that: one after another, since a node has one driver.
func TestUnderSystemd(t *testing.T) {
	if runner != "child" {
		t.Skip("it is one of those that are run again")
	}
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, program, filepath.Join(filepath.Dir(driver), "tests"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	args := []string{filepath.Dir(driver), "env", programsVariable + "=/mnt", runnerVariable + "=systemd", "/mnt/tests", "-test.v", "-test.parallel=1", "-test.run=" + underSystemd}
	cmd := exec.CommandContext(ctx, "bash", append([]string{"testdata/under-systemd"}, args...)...) //nolint:gosec // ours
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch text := string(output); {
	case errors.As(err, &exit) && exit.ExitCode() == 77:
		t.Skip(strings.TrimSpace(text))
	case err != nil || strings.Count(text, "\n--- PASS") < strings.Count(underSystemd, "|"):
		t.Errorf("under systemd: %v\n%s", err, text)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()                                                      //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // it is to be run
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a volume says comes to the process as it is, whatever it means to a shell or to
// systemd.
func TestArguments(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	good := a.attributes["reference"]
	for _, tag := range []string{"$HOME", "${HOME}", "$$", "%n%%", ";a"} {
		a.attributes["reference"] = good + tag
		err := a.publish()
		if err == nil || strings.Count(err.Error(), good+tag) < 2 { // by the driver, and by orasfs
			t.Errorf("%s: %v", tag, err)
		}
	}
	n.mustBeEmpty()
}
