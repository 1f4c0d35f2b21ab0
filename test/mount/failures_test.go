package mount

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMountFails has the mount command fail in every way that has a name.
func TestMountFails(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	closed := serveFake(t)
	closed.RequireBasic("reader", "s3cret")
	tlsHost, _ := serveTLS(t, f.Registry)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		target string
		change func(t *testing.T, m *mount) // before the command
		says   []string
	}{
		"unknown host":       {"registry.invalid", nil, []string{"registry.invalid"}},
		"connection refused": {nobody, nil, []string{nobody, "refuse"}},
		"401":                {closed.host, nil, []string{"401", "--username"}},
		"wrong password": {closed.host, func(_ *testing.T, m *mount) {
			m.flags, m.stdin = []string{"--username", "reader", "--password-stdin"}, "wrong\n"
		}, []string{"401", "password"}},
		"unknown authority":  {tlsHost, nil, []string{"certificate", "--ca-file", "--insecure"}},
		"plain HTTP":         {strings.Replace(f.host, "127.0.0.1", "0.0.0.0", 1), nil, []string{"--plain-http"}},
		"mountpoint missing": {f.host, func(_ *testing.T, m *mount) { m.dir += "/none" }, []string{"mnt/none", "mkdir"}},
		"mountpoint a file": {f.host, func(t *testing.T, m *mount) {
			m.dir += "file"
			write(t, m.dir)
		}, []string{"directory"}},
		"mountpoint not empty": {f.host, func(t *testing.T, m *mount) { write(t, m.dir+"/file") }, []string{"not empty"}},
		"cache under the mountpoint": {f.host, func(_ *testing.T, m *mount) { m.cache = m.dir + "/cache" },
			[]string{"cache", "mountpoint"}},
		"cache is the mountpoint": {f.host, func(_ *testing.T, m *mount) { m.cache = m.dir }, []string{"cache", "mountpoint"}},
		"cache not writable": {f.host, func(t *testing.T, m *mount) {
			write(t, m.cache)
			m.cache += "/below"
		}, []string{"cache", "--cache-dir"}},
		"cache in a file system that takes nothing": {f.host, func(_ *testing.T, m *mount) { m.cache = "/proc/orasfs" },
			[]string{"/proc/orasfs", "--cache-dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := prepare(t, c.target, "--timeout", "5s")
			if c.change != nil {
				c.change(t, m)
			}
			m.refused(t, m.command(), 1, c.says...)
			m.refused(t, m.command("-f"), 1, c.says...)
			if mounted(t, m.dir) {
				t.Error("something is mounted")
			}
		})
	}
}

// TestUsage gives the mount command what it can't understand.
func TestUsage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	for name, change := range map[string]func(m *mount){
		"unknown flag":   func(m *mount) { m.flags = []string{"--nonsense"} },
		"bad size":       func(m *mount) { m.flags = []string{"--memory", "much"} },
		"bad duration":   func(m *mount) { m.flags = []string{"--timeout", "30"} },
		"bad word":       func(m *mount) { m.flags = []string{"--verify", "never"} },
		"bad option":     func(m *mount) { m.flags = []string{"-o", "nonsense"} },
		"writable":       func(m *mount) { m.flags = []string{"-o", "rw"} },
		"bad target":     func(m *mount) { m.target = "host/UPPER" },
		"bad view":       func(m *mount) { m.target += "/app:v1"; m.flags = []string{"--view", "nonsense"} },
		"view of many":   func(m *mount) { m.flags = []string{"--view", "files"} },
		"too many words": func(m *mount) { m.flags = []string{"superfluous"} },
	} {
		t.Run(name, func(t *testing.T) {
			m := prepare(t, f.host)
			change(m)
			m.refused(t, m.command(), 2)
			if mounted(t, m.dir) {
				t.Error("something is mounted")
			}
		})
	}
	if asked := f.Requests(); len(asked) != 0 {
		t.Errorf("the registry was asked: %v", asked)
	}
}

// TestMountedTwice mounts where there is a mount already. The first stays.
func TestMountedTwice(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host)
	second := m.command()
	second.Env = environment()
	r := finish(t, second)
	if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "already") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	m.daemon(t) // the one
	m.ls(t, "app/_tags")
}

// TestNoFUSE hides what mounting needs of the machine, in a mount namespace of
// its own.
func TestNoFUSE(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)

	t.Run("no device", func(t *testing.T) {
		m := prepare(t, f.host)
		m.refused(t, hidden(m.command(), `mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3`), 1, "/dev/fuse")
	})

	t.Run("no fusermount3", func(t *testing.T) {
		u := newUser(t)
		m := u.prepare(t, f.host)
		cmd := m.command()
		// Only root can hide something.
		become := []string{"setpriv", fmt.Sprint("--reuid=", u.id), fmt.Sprint("--regid=", u.group), "--clear-groups", "--"}
		cmd.Args, cmd.SysProcAttr = append(become, cmd.Args...), nil
		m.refused(t, hidden(cmd, `for f in fusermount3 fusermount; do
			path=$(command -v $f) && mount --bind /dev/null "$(readlink -f "$path")"; done; true`), 1, "fusermount3", "install fuse3")
	})
}

// TestMountpointNames mounts on a relative path and through a link.
func TestMountpointNames(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	for name, change := range map[string]func(t *testing.T, cmd *exec.Cmd, dir string){
		"relative": func(_ *testing.T, cmd *exec.Cmd, dir string) {
			cmd.Dir = filepath.Dir(dir)
			cmd.Args[len(cmd.Args)-1] = "./" + filepath.Base(dir)
		},
		"link": func(t *testing.T, cmd *exec.Cmd, dir string) {
			if err := os.Symlink(dir, dir+"-link"); err != nil {
				t.Fatal(err)
			}
			cmd.Args[len(cmd.Args)-1] = dir + "-link"
		},
		"trailing slash": func(_ *testing.T, cmd *exec.Cmd, dir string) { cmd.Args[len(cmd.Args)-1] += "/" },
	} {
		t.Run(name, func(t *testing.T) {
			m := prepare(t, f.host)
			cmd := m.command()
			change(t, cmd, m.dir)
			if r := finish(t, cmd); r.code != 0 {
				t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			m.ls(t, "app/_tags")
			umount := exec.Command(m.binary, "umount", cmd.Args[len(cmd.Args)-1])
			umount.Dir, umount.Env = cmd.Dir, environment()
			if r := finish(t, umount); r.code != 0 {
				t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			m.gone(t)
		})
	}
}
