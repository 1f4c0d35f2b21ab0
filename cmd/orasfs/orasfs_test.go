package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain lets the test binary be orasfs, for the scripts, and a daemon or what asks a
// mount, for the tests that start one.
func TestMain(m *testing.M) {
	if behaviour := os.Getenv(fakeDaemonVariable); behaviour != "" && os.Getenv(daemonVariable) != "" {
		os.Exit(fakeDaemon(behaviour))
	}
	if os.Args[0] == askMountName {
		main()
	}
	testscript.Main(m, map[string]func(){"orasfs": main})
}

// TestScripts runs the commands that need neither a registry nor a mount.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir) // for the default cache directory
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits is a command of the scripts: "exits CODE COMMAND…" expects that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got := strconv.Itoa(code); got != args[0] {
		ts.Fatalf("exit code %s, expected %s", got, args[0])
	}
}

// request parses the arguments of a mount command.
func request(t *testing.T, stdin string, args ...string) (*mountRequest, error) {
	t.Helper()
	return requestFor(t, false, stdin, args...)
}

func requestFor(t *testing.T, helper bool, stdin string, args ...string) (*mountRequest, error) {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetIn(strings.NewReader(stdin))
	var flags mountFlags
	flags.register(cmd.Flags())
	if err := cmd.Flags().Parse(args); err != nil {
		return nil, err
	}
	return flags.request(cmd, cmd.Flags().Args(), helper, flags.secrets)
}

// mustRequest is request for arguments that are right.
func mustRequest(t *testing.T, stdin string, args ...string) *mountRequest {
	t.Helper()
	r, err := request(t, stdin, args...)
	if err != nil {
		t.Fatalf("orasfs mount %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// withoutSettings clears the environment of what would set a flag.
func withoutSettings(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, environmentPrefix) {
			t.Setenv(name, "")
		}
	}
}

// wantError fails the test unless the error is one line that holds the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one with %q", words)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q doesn't say %q", err, w)
		}
	}
}
