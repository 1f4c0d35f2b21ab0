package mount

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnmount unmounts by every command there is for it: the daemon ends.
func TestUnmount(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	for name, command := range map[string]func(m *mount) *exec.Cmd{
		"orasfs umount": func(m *mount) *exec.Cmd { return m.umountCommand() },
		"umount":        func(m *mount) *exec.Cmd { return exec.Command("umount", m.dir) },
		"fusermount3":   func(m *mount) *exec.Cmd { return exec.Command("fusermount3", "-u", m.dir) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "umount" {
				needRoot(t)
			}
			m := mountRegistry(t, f.host)
			m.ls(t, "app/_tags")
			if r := finish(t, command(m)); r.code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
			}
			m.gone(t)
			fails(t, "nothing to unmount", m.binary, "umount", m.dir)
		})
	}
}

// TestBusy unmounts while somebody stands in the mount.
func TestBusy(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host)
	shellIn(t, m.path("app/_tags"))
	fails(t, "--lazy", m.binary, "umount", m.dir)
	m.ls(t, "app/_tags") // goes on
	output(t, m.binary, "umount", "--lazy", m.dir)
	if mounted(t, m.dir) {
		t.Error("still mounted after a lazy unmount")
	}
}

// TestForeground stays in the foreground until a signal comes, and ends in
// order then, in whatever use the mount is.
func TestForeground(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		for _, use := range []string{"idle", "busy"} {
			t.Run(name+", "+use, func(t *testing.T) {
				m := prepare(t, f.host)
				p := start(t, m.command("-f"))
				eventually(t, "it is mounted", func() bool { return mounted(t, m.dir) })
				m.ls(t, "app/_tags")
				if use == "busy" {
					shellIn(t, m.path("app/_tags"))
				}
				if state := p.signal(t, signal); !state.Success() {
					t.Errorf("it ended with %s\n%s", state, p.stderr.String())
				}
				m.gone(t)
				if log := p.stderr.String(); !strings.Contains(log, m.dir) || strings.Contains(log, "panic") {
					t.Errorf("it logged\n%s", log)
				}
			})
		}
	}
}

// TestDaemonSignal ends a mount in the background.
func TestDaemonSignal(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := mountRegistry(t, f.host)
	if err := syscall.Kill(m.daemon(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.gone(t)
}

// TestMountedElsewhere ends a daemon whose mount is bound to another directory too, as
// containers have it: it ends all the same.
func TestMountedElsewhere(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host)
	elsewhere := t.TempDir()
	output(t, "mount", "--bind", m.dir, elsewhere)
	t.Cleanup(func() { output(t, "umount", elsewhere) })
	output(t, "ls", elsewhere+"/app/_tags")
	if err := syscall.Kill(m.daemon(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.gone(t)
	m.logs(t, "mounted elsewhere")
	// What the kernel says depends on how far it is with ending the connection.
	if r := try(t, "ls", elsewhere+"/app/_tags"); !strings.Contains(r.stderr, "not connected") && !strings.Contains(r.stderr, "connection abort") {
		t.Errorf("elsewhere: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestBackground starts the daemon from a command substitution, which ends when
// nobody holds its pipe any more, and in a process group that ends.
func TestBackground(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := prepare(t, f.host)
	mount := m.command()
	cmd := exec.Command("sh", append([]string{"-c", `x=$("$0" "$@" 2>&1) && echo "[$x]"`}, mount.Args...)...)
	cmd.Env = mount.Env
	if r := finish(t, cmd); r.code != 0 || r.stdout != "[]\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	m.ls(t, "app/_tags")
}

// TestKilledDaemon kills the daemon: the mount is dead, and can be cleaned up
// and made again, with all that had been cached.
func TestKilledDaemon(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 1, large)
	m := mountRegistry(t, f.host)
	file := m.path(contentPath("app"))
	m.same(t, original, file)

	if err := syscall.Kill(m.daemon(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon has gone", func() bool { return len(m.daemons(t)) == 0 })
	eventually(t, "the mount is dead", func() bool {
		return strings.Contains(try(t, "ls", m.dir).stderr, "not connected")
	})
	if r := finish(t, m.umountCommand()); r.code != 0 {
		t.Fatalf("umount of a dead mount: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	m.mount(t)
	f.Reset()
	m.same(t, original, file)
	if n := f.Count("GET", "/blobs/"+layer.Digest.String()); n != 0 {
		t.Errorf("what was read before the daemon was killed was fetched again, by %d requests", n)
	}
}

// TestInterruptedMount interrupts the mount command while it waits for a
// registry: it leaves nothing.
func TestInterruptedMount(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			f := serveFake(t)
			f.stall("/v2/")
			m := prepare(t, f.host, "--timeout", "1h")
			p := start(t, m.command())
			eventually(t, "the registry is asked", func() bool { return f.Count("", "/v2/") > 0 })
			if state := p.signal(t, signal); state.Success() {
				t.Errorf("it ended with %s", state)
			}
			m.gone(t)
		})
	}
}

// TestForcedUnmount ends the connection of a busy mount, as `umount -f` does:
// the daemon leaves no dead mountpoint and ends in order.
func TestForcedUnmount(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	f.addFile(t, "app", 1, large)
	u := newUser(t)
	for name, m := range map[string]*mount{"root": prepare(t, f.host, "-f"), "a plain user": u.prepare(t, f.host, "-f")} {
		t.Run(name, func(t *testing.T) {
			p := start(t, m.command())
			eventually(t, "it is mounted", func() bool { return mounted(t, m.dir) })
			f.Reset()
			f.stall("/blobs/")
			reader := start(t, m.user.runs(exec.Command("cat", m.path(contentPath("app")))))
			eventually(t, "the registry is asked", func() bool { return f.Count("", "/blobs/") > 0 })
			try(t, "umount", "-f", m.dir) // it says that the mount is busy
			m.gone(t)
			if state := p.wait(t); !state.Success() || !strings.Contains(p.stderr.String(), "has been detached") {
				t.Errorf("it ended with %s\n%s", state, p.stderr.String())
			}
			if reader.wait(t).Success() {
				t.Error("the reader didn't fail")
			}
			if r := m.user.does(t, "ls", m.dir); r.code != 0 || r.stdout != "" {
				t.Errorf("the mountpoint: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

// TestAbortedUnderAnother ends the connection of a mount that another one
// covers, which isn't the daemon's to take away.
func TestAbortedUnderAnother(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	m := prepare(t, f.host, "-f")
	p := start(t, m.command())
	eventually(t, "it is mounted", func() bool { return mounted(t, m.dir) })
	_, minor, _ := strings.Cut(strings.TrimSpace(output(t, "mountpoint", "-d", m.dir)), ":")
	output(t, "mount", "-t", "tmpfs", "cover", m.dir)
	t.Cleanup(func() { try(t, "umount", m.dir) })
	connections := t.TempDir()
	output(t, "mount", "-t", "fusectl", "fusectl", connections)
	t.Cleanup(func() { output(t, "umount", connections) })
	if err := os.WriteFile(filepath.Join(connections, minor, "abort"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	if got := output(t, "stat", "-f", "-c", "%T", m.dir); got != "tmpfs\n" {
		t.Errorf("what covered the mount is gone, there is %s", got)
	}
	if !strings.Contains(p.stderr.String(), "another mount covers it") {
		t.Errorf("it logged\n%s", p.stderr.String())
	}
	output(t, "umount", m.dir)
}
