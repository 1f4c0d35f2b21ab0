package mount

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestOwners says who owns what has no owner of its own: not what an archive says it of.
// It holds for the daemon, in the foreground, and for what mount(8) calls.
func TestOwners(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.closedImage(t, "app")
	f.addFile(t, "file", 1, small)
	for name, c := range map[string]struct {
		options string
		own     string // of what has no owner of its own
	}{
		"both":        {"uid=1234,gid=5678", "1234:5678"},
		"with others": {"noexec,gid=7,tag-ttl=5m", fmt.Sprintf("%d:7", os.Getuid())},
	} {
		t.Run(name, func(t *testing.T) {
			m := mountRegistry(t, f.host, "-o", c.options)
			for path, want := range map[string]string{
				"": c.own, "file": c.own, "file/_tags": c.own, "file/_tags/v1": c.own, "file:v1/manifest.json": c.own, contentPath("file"): c.own,
				"app:v1/layout/index.json": c.own, "app:v1/rootfs/srv/app": "999:999", "app:v1/rootfs/srv/app/Makefile": "999:999", "app:v1/layers/00/root": "0:0",
			} {
				if got := m.stat(t, "%u:%g", path); got != want {
					t.Errorf("/%s is %s's, not %s's", path, got, want)
				}
			}
		})
	}
	t.Run("follow", func(t *testing.T) {
		m := f.follow(t, "/file:v1", "-o", "uid=5,gid=6")
		for _, path := range []string{"", "..data", "content.bin", "..data/content.bin"} {
			if got := m.stat(t, "%u:%g", path); got != "5:6" {
				t.Errorf("/%s is %s's", path, got)
			}
		}
	})
	t.Run("mount(8)", func(t *testing.T) {
		m := prepare(t, f.host)
		cmd := exec.Command(m.binary, m.target, m.dir, "-o", "rw,dev,suid,uid=1234,gid=5678,cache-dir="+m.cache)
		cmd.Env = m.environment()
		if r := finish(t, cmd); r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
		}
		if got := m.stat(t, "%u:%g", contentPath("file")); got != "1234:5678" {
			t.Errorf("the file is %s's", got)
		}
	})
	for _, options := range []string{"uid=root", "gid=-1", "uid=4294967295", "gid"} {
		m := prepare(t, f.host, "-o", options)
		m.refused(t, m.command(), 2, "-o "+options, "a number is needed")
	}
}
