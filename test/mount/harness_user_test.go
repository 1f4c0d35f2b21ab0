package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// needRoot skips a test that only root can do.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make users and hide parts of the system")
	}
}

// A user is one that was made for a test.
type user struct {
	id, group uint32
	home      string
}

// newUser makes a user with a home directory, for as long as the test runs.
func newUser(t testing.TB) *user {
	t.Helper()
	needRoot(t)
	// t.TempDir is closed to others.
	home, err := os.MkdirTemp("", "orasfs-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	name := fmt.Sprintf("orasfs-%d-%d", os.Getpid()%100_000, mounts.Add(1))
	output(t, "useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", name)
	t.Cleanup(func() {
		const inUse = 8 // a process that has ended, but that nobody has waited for yet, is one
		eventually(t, name+" is removed", func() bool {
			r := try(t, "userdel", name)
			if r.code != 0 && r.code != inUse {
				t.Errorf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
			}
			return r.code != inUse
		})
	})

	made, err := osuser.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{id: number(t, made.Uid), group: number(t, made.Gid), home: home}
	if err := errors.Join(os.Chmod(home, 0o755), os.Chown(home, int(u.id), int(u.group))); err != nil {
		t.Fatal(err)
	}
	return u
}

func number(t testing.TB, text string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// runs makes a command one of this user's.
func (u *user) runs(cmd *exec.Cmd) *exec.Cmd {
	if u != nil {
		cmd.Env = append(cmd.Env, "HOME="+u.home, "TMPDIR=/tmp", "XDG_RUNTIME_DIR="+u.home)
		cmd.Dir = u.home
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.id, Gid: u.group}}
	}
	return cmd
}

// does runs a command as this user.
func (u *user) does(t testing.TB, name string, args ...string) result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = environment()
	return finish(t, u.runs(cmd))
}

// prepare makes a mountpoint and a cache that are this user's own.
func (u *user) prepare(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	m := prepare(t, target, flags...)
	m.user = u
	m.dir, m.cache, m.races = filepath.Join(u.home, "mnt"), filepath.Join(u.home, "cache"), filepath.Join(u.home, "race")
	err := errors.Join(os.Mkdir(m.dir, 0o755), os.Chown(m.dir, int(u.id), int(u.group)))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return m
}

// openFUSE makes /dev/fuse what it is on every system that udev has set up: open to
// all. restore puts it back, when the tests have ended.
func openFUSE() (restore func() error, err error) {
	const device = "/dev/fuse"
	restore = func() error { return nil }
	info, err := os.Stat(device)
	if err != nil || info.Mode().Perm() == 0o666 || os.Geteuid() != 0 {
		return restore, err
	}
	return func() error { return os.Chmod(device, info.Mode().Perm()) }, os.Chmod(device, 0o666)
}

// allowOther says in fuse.conf whether plain users may mount with allow_other.
// The file is put back when the test ends.
func allowOther(t testing.TB, allowed bool) {
	t.Helper()
	const config, line = "/etc/fuse.conf", "user_allow_other\n"
	before, err := os.ReadFile(config)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		t.Fatal(err)
	}
	var after strings.Builder
	for l := range strings.Lines(string(before)) {
		if strings.TrimSpace(l)+"\n" != line {
			after.WriteString(l)
		}
	}
	if allowed {
		after.WriteString("\n" + line)
	}
	if err := os.WriteFile(config, []byte(after.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		restored := os.WriteFile(config, before, 0o644)
		if missing {
			restored = os.Remove(config)
		}
		if restored != nil {
			t.Error(restored)
		}
	})
}
