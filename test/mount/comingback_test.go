package mount

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestComingBack mounts where a daemon has died, and where one lives.
func TestComingBack(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	f.addFile(t, "other", 2, small)
	m := mountRegistry(t, f.host)
	m.same(t, original, m.path(contentPath("app")))

	again := finish(t, m.command())
	if again.code != 1 || !strings.Contains(again.stderr, f.host+" is mounted at "+m.dir+" already") {
		t.Errorf("the same once more: exit code %d\n%s", again.code, again.stderr)
	}
	m.target += "/other"
	if r := finish(t, m.command()); r.code != 1 || !strings.Contains(r.stderr, "already a mount of orasfs, of "+f.host) {
		t.Errorf("another target: exit code %d\n%s", r.code, r.stderr)
	}
	m.target = f.host
	m.same(t, original, m.path(contentPath("app")))

	if err := syscall.Kill(m.daemon(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is dead", func() bool {
		return strings.Contains(try(t, "stat", m.path("app")).stderr, "Transport endpoint is not connected")
	})
	if r := finish(t, m.command()); r.code != 0 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	f.Reset()
	m.same(t, original, m.path(contentPath("app")))
	if n := f.Count("GET", "/blobs/"); n != 0 {
		t.Errorf("%d blobs were fetched again", n)
	}
}

// TestCalledByMount calls the program by the names that mount(8) has for it, with
// what that passes on.
func TestCalledByMount(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	for _, name := range []string{"mount.orasfs", "mount.fuse.orasfs"} {
		m := prepare(t, f.host)
		helper := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(m.binary, helper); err != nil {
			t.Fatal(err)
		}
		call := func(args ...string) result {
			cmd := exec.Command(helper, append([]string{m.target, m.dir}, args...)...)
			cmd.Env = append(m.environment(), "ORASFS_CACHE_DIR="+m.cache)
			return finish(t, cmd)
		}
		if r := call("-sn", "-f"); r.code != 0 || mounted(t, m.dir) {
			t.Errorf("%s -f: exit code %d, mounted: %t\n%s", name, r.code, mounted(t, m.dir), r.stderr)
		}
		if r := call("-n", "-o", "rw,noauto,user,nofail,_netdev,x-systemd.automount,tag-ttl=5m", "-t", "fuse.orasfs"); r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", name, r.code, r.stderr)
		}
		m.same(t, original, m.path(contentPath("app")))
		if r := call(); r.code != 32 {
			t.Errorf("%s where something is mounted: exit code %d, not mount's\n%s", name, r.code, r.stderr)
		}
		if r := call("-o", "no-such-option"); r.code != 1 {
			t.Errorf("%s with an unknown option: exit code %d\n%s", name, r.code, r.stderr)
		}
		m.unmount(t)
	}
}

// TestNotify is a service of Type=notify with a watchdog, from its start to its end.
func TestNotify(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	socket := listenForNotify(t)
	m := prepare(t, f.host)
	cmd := m.command("-f")
	cmd.Env = append(cmd.Env, socket.variable(), "WATCHDOG_USEC=200000")
	p := start(t, cmd)
	if said := socket.next(t, "READY=1"); !strings.Contains(said, "STATUS="+f.host+" is mounted at "+m.dir) {
		t.Errorf("it says %q", said)
	}
	if !mounted(t, m.dir) {
		t.Error("it is ready before it is mounted")
	}
	for range 3 {
		socket.next(t, "WATCHDOG=1")
	}
	if os.Geteuid() == 0 { // what covers the mount isn't the daemon's fault
		output(t, "mount", "-t", "tmpfs", "cover", m.dir)
		uncover := sync.OnceFunc(func() { output(t, "umount", m.dir) })
		t.Cleanup(uncover)
		for range 3 {
			socket.next(t, "WATCHDOG=1")
		}
		uncover()
	}
	p.signal(t, syscall.SIGTERM)
	socket.next(t, "STOPPING=1")
	m.gone(t)
}
