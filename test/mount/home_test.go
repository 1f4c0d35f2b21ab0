package mount

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeOwn writes a file of a user's, or of root's where there is none, and the
// directory that it is in.
func writeOwn(t *testing.T, owner *user, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if owner == nil {
		return
	}
	if err := os.Chown(path, int(owner.id), int(owner.group)); err != nil {
		t.Fatal(err)
	}
}

// homely is the command without what names the cache directory and the credentials.
func (m *mount) homely(env ...string) *exec.Cmd {
	cmd := m.command()
	cmd.Args = append([]string{m.binary, "mount"}, append(append([]string{}, m.flags...), m.target, m.dir)...)
	cmd.Env = append(cmd.Env, append([]string{"DOCKER_CONFIG=", "XDG_CACHE_HOME="}, env...)...)
	return cmd
}

// TestHome mounts as a plain user whose HOME isn't set, or is root's, as fstab's user
// has it by way of mount.fuse3: the credentials and the cache are his own.
func TestHome(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	desc, _ := f.addFile(t, "app", 1, small)
	f.RequireBasic("reader", password)
	u := newUser(t)
	content, err := os.ReadFile(credentialsFile(t, f.host, password))
	if err != nil {
		t.Fatal(err)
	}
	writeOwn(t, u, filepath.Join(u.home, ".docker/config.json"), string(content))
	for name, change := range map[string]func(cmd *exec.Cmd){
		"root's":      func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "HOME=/root") },
		"none":        func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "HOME=") },
		"his own":     func(*exec.Cmd) {},
		"mount.fuse3": func(cmd *exec.Cmd) { mountedByFUSE3(cmd) },
	} {
		t.Run(name, func(t *testing.T) {
			m := u.prepare(t, f.host)
			m.cache = filepath.Join(u.home, ".cache/orasfs")
			cmd := m.homely()
			change(cmd)
			if r := finish(t, cmd); r.code != 0 {
				t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
			}
			if got := u.does(t, "sha256sum", m.path(contentPath("app"))); got.code != 0 || !strings.HasPrefix(got.stdout, desc.Digest.Encoded()) {
				t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
			}
			if _, err := os.Stat(filepath.Join(m.cache, "log")); err != nil {
				t.Error(err)
			}
		})
	}
}

// mountedByFUSE3 makes a mount command what mount(8) runs for fstab's user: without
// HOME, and by way of mount.fuse3.
func mountedByFUSE3(cmd *exec.Cmd) {
	var env []string
	for _, v := range cmd.Env {
		if !strings.HasPrefix(v, "HOME=") {
			env = append(env, v)
		}
	}
	target, dir := cmd.Args[len(cmd.Args)-2], cmd.Args[len(cmd.Args)-1]
	binary := cmd.Args[0]
	cmd.Path, cmd.Env = "/usr/sbin/mount.fuse3", env
	cmd.Args = []string{"mount.fuse3", binary + "#" + target, dir, "-o", "noauto,user,_netdev"}
}

// TestUnreadableCredentials has a credentials file that is another's: in the default
// place it is no login, and where somebody names it an error.
func TestUnreadableCredentials(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	u := newUser(t)
	file := filepath.Join(u.home, ".docker/config.json")
	writeOwn(t, nil, file, "{}")

	m := u.prepare(t, f.host)
	m.cache = filepath.Join(u.home, ".cache/orasfs")
	if r := finish(t, m.homely()); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
	}
	for range 2 {
		if got := u.does(t, "cat", m.path(contentPath("app"))); got.code != 0 {
			t.Error(got.stderr)
		}
	}
	if got := strings.Count(m.log(t), "no login is used"); got != 1 {
		t.Errorf("%d lines of the log say that no login is used", got)
	}
	m.logs(t, "no login is used", file)
	m.unmount(t)

	for name, c := range map[string]struct {
		env   string
		flags []string
	}{
		"DOCKER_CONFIG":     {"DOCKER_CONFIG=" + filepath.Dir(file), nil},
		"--registry-config": {"", []string{"--registry-config", file}},
	} {
		t.Run(name, func(t *testing.T) {
			m := u.prepare(t, f.host, c.flags...)
			m.refused(t, m.homely(c.env), 1, file, "permission denied")
		})
	}
}

// TestRelativeDockerConfig names the folder of the credentials from where the command
// runs, which isn't where the daemon does.
func TestRelativeDockerConfig(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	f.RequireBasic("reader", password)
	dir := filepath.Dir(credentialsFile(t, f.host, password))
	m := prepare(t, f.host)
	m.env = []string{"DOCKER_CONFIG=" + filepath.Base(dir)}
	cmd := m.command()
	cmd.Dir = filepath.Dir(dir)
	if r := finish(t, cmd); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
	}
	m.same(t, original, m.path(contentPath("app")))
}
