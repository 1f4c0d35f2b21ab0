package mount

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/soak"
)

// TestKilledWhileMounting kills 40 daemons, 300 in full, with SIGKILL in the first
// milliseconds of their mounts. Each has to be gone then, and whoever looks at the mountpoint has
// to get an answer: a daemon that dies while it uses a file of its own mount
// waits for itself, and everybody else for it.
func TestKilledWhileMounting(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := prepare(t, f.host, "-f")
	m.binary = orasfsLean
	for i := range soak.Size(40, 300) {
		m.killEarly(t, i)
		if t.Failed() {
			t.Fatalf("after %d kills", i)
		}
	}
}

// killEarly starts a daemon and kills it soon after the mount shows, or, every
// eighth time, at any moment of its start.
func (m *mount) killEarly(t *testing.T, i int) {
	t.Helper()
	p := start(t, m.command())
	most := 2 * time.Millisecond // most often: what a mount does first takes no longer
	if i%4 == 0 {
		most = 30 * time.Millisecond
	}
	for i%8 > 0 && !mounted(t, m.dir) {
		select {
		case <-p.ended:
			t.Fatalf("it ended before it was mounted: %s", p.stderr.String())
		default:
		}
	}
	time.Sleep(rand.N(most)) // no other way to kill it anywhere
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Errorf("a killed daemon doesn't end; its threads are in the states %s", states(p.cmd.Process.Pid))
		m.abort(t)
		return
	}
	if !m.answers(t) {
		return
	}
	if r := try(t, "ls", "-A", m.dir); r.stdout != "" || r.code != 0 && !strings.Contains(r.stderr, "not connected") {
		t.Errorf("the mountpoint of a daemon that has ended: %s%s", r.stdout, r.stderr)
	}
	if mounted(t, m.dir) {
		output(t, "fusermount3", "-u", "-z", m.dir)
	}
}

// TestKilledWithHelper kills a daemon while a program runs that it has started,
// a credential helper: that must not keep the mount waiting.
func TestKilledWithHelper(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	dir := t.TempDir()
	running := filepath.Join(dir, "running")
	for name, content := range map[string]string{
		"config.json":            fmt.Sprintf(`{"credHelpers":{%q:"slow"}}`, f.host),
		"docker-credential-slow": "#!/bin/sh\necho $$ >" + running + ".new && mv " + running + ".new " + running + " && exec sleep 600\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f.RequireBasic("reader", password)
	m := prepare(t, "none", "--registry-config", filepath.Join(dir, "config.json"))
	m.env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	m.mount(t)
	daemon := m.daemon(t)
	start(t, exec.Command("ls", m.path(f.host)))
	var helper int
	eventually(t, "the credential helper runs", func() bool {
		content, err := os.ReadFile(running)
		if err == nil {
			helper, err = strconv.Atoi(strings.TrimSpace(string(content)))
		}
		return err == nil
	})
	t.Cleanup(func() { _ = syscall.Kill(helper, syscall.SIGKILL) }) // it may have ended
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.answers(t)
	if err := syscall.Kill(helper, syscall.SIGKILL); err != nil {
		t.Errorf("the helper has ended before: %v", err)
	}
}
