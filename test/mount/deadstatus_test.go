package mount

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStatusOfDeadDaemon kills a daemon: its mount is dead until it is mounted again, or
// unmounted, with nothing left then.
func TestStatusOfDeadDaemon(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m, other := mountRegistry(t, f.host), mountRegistry(t, f.host+"/app")
	kill := func() {
		t.Helper()
		if err := syscall.Kill(m.daemon(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the daemon is gone", func() bool { return len(m.daemons(t)) == 0 })
	}
	isDead := func(when string) {
		t.Helper()
		all := m.statuses(t, 1)
		if s := all[m.dir]; s.State != "dead" || s.Target != f.host || !strings.Contains(s.Advice, "orasfs mount "+f.host+" "+m.dir) || !strings.Contains(s.Advice, "orasfs umount "+m.dir) {
			t.Errorf("%s: %+v", when, s)
		}
		if all[other.dir].State != "serving" || all[other.dir].Target != f.host+"/app" {
			t.Errorf("%s, the other one: %+v", when, all[other.dir])
		}
		if r := m.statusCommand(t, m.dir); r.code != 1 || !strings.Contains(r.stdout, "dead: ") {
			t.Errorf("%s: exit code %d\n%s%s", when, r.code, r.stdout, r.stderr)
		}
	}
	kill()
	isDead("killed")
	m.mount(t)
	if s := m.status(t); s.State != "serving" || s.PID != m.daemon(t) {
		t.Errorf("mounted again: %+v", s)
	}
	kill()
	output(t, "fusermount3", "-u", "-z", m.dir)
	isDead("killed, and its mount taken away")
	m.unmount(t) // of what is left
	if r := m.statusCommand(t, m.dir); r.code != 1 || !strings.Contains(r.stderr, "is not a mountpoint") {
		t.Errorf("unmounted: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := m.statusCommand(t, filepath.Dir(m.dir)); r.code != 1 || !strings.Contains(r.stderr, "is not a mountpoint") {
		t.Errorf("of a directory: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := m.statusCommand(t, "/proc"); r.code != 1 || !strings.Contains(r.stderr, "not of orasfs") {
		t.Errorf("of another mount: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestStatusOfStoppedDaemon stops a daemon: it is there and doesn't answer, which is
// told in bounded time.
func TestStatusOfStoppedDaemon(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := mountRegistry(t, f.host)
	daemon := m.daemon(t)
	if err := syscall.Kill(daemon, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(daemon, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	if s := m.statuses(t, 1, m.dir)[m.dir]; s.State != "silent" || s.PID != daemon {
		t.Errorf("it is %+v", s)
	}
}
