package mount

import (
	"fmt"
	"strings"
	"testing"
)

// closedImage adds an image whose files and directories are those of others, and
// closed to them.
func (f *fake) closedImage(t testing.TB, repo string) {
	t.Helper()
	mode := func(i item, mode int64, uid int) item {
		i.Mode, i.Uid, i.Gid = mode, uid, uid
		return i
	}
	f.addImage(repo, "v1", imageOf(t, gzipLayer(t, tarOf(t,
		directory("root"), mode(directory("root"), 0o700, 0), mode(regular("root/secret", "secret\n"), 0o600, 0),
		directory("srv"), mode(directory("srv/app"), 0o750, 999), mode(regular("srv/app/Makefile", "all:\n\techo made\n"), 0o640, 999),
		mode(directory("odd"), 0o600, 999), directory("bin"), mode(regular("bin/tool", "#!/bin/sh\necho runs\n"), 0o750, 999), regular("bin/data", "data\n"),
	))))
}

// TestAccess has a plain user go where an image's modes would keep him out: what he
// may list and read he may enter, and access(2) says so. With default_permissions
// the modes rule for all of that.
func TestAccess(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.closedImage(t, "app")
	u := newUser(t)
	for _, c := range []struct {
		name    string
		flags   []string
		command string // in the image's root file system
		want    string // "" where it has to fail
		why     string
	}{
		{"enter", nil, "cd root && cat secret", "secret\n", ""},
		{"test -r and -x of a directory", nil, "test -r root -a -x root && echo yes", "yes\n", ""},
		{"enter where no mode has an x", nil, "cd odd && echo in", "in\n", ""},
		{"test -r", nil, "test -r root/secret && cat root/secret", "secret\n", ""},
		{"test -w", nil, "test ! -w root/secret -a ! -w root && echo no", "no\n", ""},
		{"find", nil, "find . ! -readable; find root -type f", "root/secret\n", ""},
		{"git", nil, "git -C srv/app grep --no-index --no-color made", "Makefile:\techo made\n", ""},
		{"make", nil, "make -s -C srv/app", "made\n", ""},
		{"chroot", nil, "unshare --map-root-user chroot root /none", "", notThere},
		{"run", nil, "test -x bin/tool && bin/tool", "runs\n", ""},
		{"run what is no program", nil, "test ! -x bin/data && bin/data", "", noAccess},
		{"the root of an artifact", []string{"--view", "rootfs"}, "cd srv/app && ls", "Makefile\n", ""},

		{"modes: enter", []string{"-o", "default_permissions"}, "cd root", "", "can't cd to root"},
		{"modes: list", []string{"-o", "default_permissions"}, "ls srv/app", "", noAccess},
		{"modes: open", []string{"-o", "default_permissions"}, "cat bin/tool", "", noAccess},
		{"modes: test -r", []string{"-o", "default_permissions"}, "test ! -r bin/tool -a -r bin/data && echo as they say", "as they say\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, path := f.host, "app/_tags/v1/rootfs"
			if len(c.flags) > 0 && c.flags[0] == "--view" {
				target, path = f.host+"/app:v1", "."
			}
			m := u.prepare(t, target, c.flags...)
			m.mount(t)
			got := u.does(t, "sh", "-c", fmt.Sprintf("cd %s && %s", m.path(path), c.command))
			switch {
			case c.why != "" && (got.code == 0 || !strings.Contains(got.stderr, c.why)):
				t.Errorf("%s: exit code %d, not a failure with %q\n%s%s", c.command, got.code, c.why, got.stdout, got.stderr)
			case c.why == "" && (got.code != 0 || got.stdout != c.want):
				t.Errorf("%s: exit code %d, %q, not %q\n%s", c.command, got.code, got.stdout, c.want, got.stderr)
			}
		})
	}
}
