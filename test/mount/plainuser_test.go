package mount

import (
	"fmt"
	"strings"
	"testing"
)

// TestPlainUser mounts, reads and unmounts without being root. Another user
// sees nothing of it, unless it is mounted with allow_other.
func TestPlainUser(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	u, other := newUser(t), newUser(t)

	file := "hello-artifact/_tags/v1/files/artifact.txt"
	m := u.prepare(t, r.host)
	m.mount(t)
	if got := u.does(t, "cat", m.path(file)); got.stdout != "hello world\n" {
		t.Errorf("exit code %d, %q\n%s", got.code, got.stdout, got.stderr)
	}
	if got, want := u.does(t, "stat", "-c", "%A %u:%g", m.path(file)), fmt.Sprintf("-r--r--r-- %d:%d\n", u.id, u.group); got.stdout != want {
		t.Errorf("the file is %s%s, not %s", got.stdout, got.stderr, want)
	}
	if got := u.does(t, "rm", "-f", m.path(file)); got.code == 0 || !strings.Contains(got.stderr, readOnly) {
		t.Errorf("rm: exit code %d, %s", got.code, got.stderr)
	}
	for _, path := range []string{m.dir, m.path(file)} {
		if got := other.does(t, "ls", path); got.code == 0 || !strings.Contains(got.stderr, noAccess) {
			t.Errorf("another user looks in: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
	}
	m.unmount(t)

	allowOther(t, false)
	refused := u.prepare(t, r.host, "-o", "allow_other")
	refused.refused(t, refused.command(), 1, "user_allow_other", "/etc/fuse.conf")

	allowOther(t, true)
	open := u.prepare(t, r.host, "-o", "allow_other")
	open.mount(t)
	for _, who := range []*user{u, other} {
		if got := who.does(t, "cat", open.path(file)); got.stdout != "hello world\n" {
			t.Errorf("with allow_other: exit code %d, %q\n%s", got.code, got.stdout, got.stderr)
		}
	}
	if got := other.does(t, orasfs, "umount", open.dir); got.code == 0 {
		t.Error("another user has unmounted it")
	}
	if got := u.does(t, "fusermount3", "-u", open.dir); got.code != 0 {
		t.Errorf("fusermount3 -u: exit code %d\n%s", got.code, got.stderr)
	}
	open.gone(t)
}
