package mount

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a command may take. It bounds a hang, it measures
// nothing: machines are noisy.
const patience = 5 * time.Minute

// A result is what a command left.
type result struct {
	command        string
	stdout, stderr string
	code           int // -1: ended by a signal
}

// environment is what every command runs in: messages in English, no
// credentials, settings, mirrors or proxies of the person who runs the tests, or of
// this machine.
func environment(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "ORASFS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
	// The last of two variables of one name counts.
	env = append(env, "LC_ALL=C", "TZ=UTC", "GORACE=atexit_sleep_ms=0", "DOCKER_CONFIG="+filepath.Join(filepath.Dir(orasfs), "no-credentials"),
		"XDG_RUNTIME_DIR="+filepath.Join(filepath.Dir(orasfs), "run"), "ORASFS_HOSTS_DIR="+filepath.Join(filepath.Dir(orasfs), "no-mirrors"))
	return append(env, more...)
}

// try runs a command to its end and fails the test only if it has none.
func try(t testing.TB, name string, args ...string) result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = environment()
	return finish(t, cmd)
}

// finish is try for a command that was made with care. It doesn't wait for a
// process that can't even be killed, as one that a filesystem leaves without
// an answer.
func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // a grandchild that keeps the pipes
	r := result{command: strings.Join(cmd.Args, " ")}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", r.command, err)
	}
	err := wait(t, cmd)
	r.stdout, r.stderr, r.code = stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", r.command, err, r.stdout, r.stderr)
	}
	return r
}

// wait waits for a command that was started, as long as patience lasts.
func wait(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
	}
	_ = cmd.Process.Kill() // it may have ended just now
	select {
	case err := <-done:
		t.Fatalf("%s: no end after %s: %v", cmd, patience, err)
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no end after %s, and it can't be killed", cmd, patience)
	}
	return nil
}

// output runs a command that has to succeed and gives what it printed.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	r := try(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails runs a command that has to fail and say why.
func fails(t testing.TB, why string, name string, args ...string) {
	t.Helper()
	r := try(t, name, args...)
	if r.code == 0 || !strings.Contains(r.stderr, why) {
		t.Errorf("%s: exit code %d, not a failure with %q\n%s%s", r.command, r.code, why, clip(r.stdout), clip(r.stderr))
	}
}

// What the C library says for the errors that the tests expect.
const (
	notThere    = "No such file or directory"
	readOnly    = "Read-only file system"
	ioError     = "Input/output error"
	noAccess    = "Permission denied"
	timedOut    = "Connection timed out"
	noAttribute = "No such attribute"
)

// A process is a command that goes on while the test does.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
	ended  chan struct{}
}

// start starts a command and kills it at the end of the test at the latest.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	go func() {
		_ = cmd.Wait() // the state tells how it ended
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: can't be killed", cmd)
			return
		}
		if t.Failed() {
			t.Logf("%s: %s\n%s%s", cmd, cmd.ProcessState, clip(p.stdout.String()), clip(p.stderr.String()))
		}
	})
	return p
}

// signal sends a signal and waits for the end.
func (p *process) signal(t testing.TB, s syscall.Signal) *os.ProcessState {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s to %s: %v", s, p.cmd, err)
	}
	return p.wait(t)
}

// wait waits for the end.
func (p *process) wait(t testing.TB) *os.ProcessState {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s: no end after %s", p.cmd, patience)
	}
	return p.cmd.ProcessState
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clip shortens what is only shown.
func clip(s string) string {
	const most = 2000
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
