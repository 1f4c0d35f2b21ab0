package mount

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// refused fails the test unless the mount command says why in one line and
// leaves nothing: no mount, no process.
func (m *mount) refused(t testing.TB, cmd *exec.Cmd, code int, words ...string) {
	t.Helper()
	r := finish(t, cmd)
	if r.code != code {
		t.Errorf("%s: exit code %d, not %d\n%s%s", r.command, r.code, code, r.stdout, r.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	if len(lines) != 1 || lines[0] == "" || r.stdout != "" {
		t.Errorf("it says more or less than one line:\n%s%s", r.stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("it doesn't say %q: %s", word, r.stderr)
		}
	}
	if left := m.daemons(t); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// hidden runs a command in a mount namespace of its own, after a script.
func hidden(cmd *exec.Cmd, script string) *exec.Cmd {
	wrapped := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script + ` && exec "$0" "$@"`}, cmd.Args...)...)
	wrapped.Env, wrapped.Stdin = cmd.Env, cmd.Stdin
	return wrapped
}

// write makes a file that holds something.
func write(t testing.TB, file string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// answers tells whether every look at the mountpoint comes to an end, whatever
// it sees: one that was under way when the daemon died is aborted.
func (m *mount) answers(t *testing.T) bool {
	t.Helper()
	for _, look := range [][]string{{"stat", m.dir}, {"ls", "-a", m.dir}, {"cat", m.path("file")}} {
		p := start(t, exec.Command(look[0], look[1:]...))
		select {
		case <-p.ended:
		case <-time.After(30 * time.Second):
			t.Errorf("%s has no answer; it is in the state %s", p.cmd, states(p.cmd.Process.Pid))
			m.abort(t)
			return false
		}
	}
	return true
}

// states are those of a process' threads, in one word: a letter for each, as
// in ps(1).
func states(pid int) string {
	out, err := exec.Command("ps", "-L", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// abort ends the connection of a mount that hangs, so that the test can end.
func (m *mount) abort(t *testing.T) {
	t.Helper()
	try(t, "umount", "-f", m.dir) // root alone may
}
