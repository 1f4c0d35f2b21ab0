package mount

import (
	"strings"
	"testing"
)

// TestOverlayOnOverlay stacks two overlays on a mount, as a container in a
// container does on an image's root file system: the kernel counts what may
// pass reads through as one more.
func TestOverlayOnOverlay(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	f.addFixture(t, "multi")
	for name, c := range map[string]struct{ target, flag string }{
		"an image":         {f.host + "/multi:latest", "--passthrough=auto"},
		"a followed image": {f.host + "/multi:latest", "--follow"},
		"no passthrough":   {f.host + "/multi", "--passthrough=off"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mountRegistry(t, c.target, c.flag)
			below := m.dir
			for range 2 {
				overlay := t.TempDir()
				output(t, "mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir="+t.TempDir()+":"+below, overlay)
				t.Cleanup(func() { output(t, "umount", overlay) })
				below = overlay
			}
			if got, want := output(t, "ls", below), output(t, "ls", m.dir); got != want {
				t.Errorf("the upper overlay shows %q, not %q", got, want)
			}
		})
	}
}

// TestReadAhead has the kernel read as far ahead as a request is large.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	m := mountRegistry(t, f.host)
	device := strings.TrimSpace(output(t, "mountpoint", "-d", m.dir))
	setting := "/sys/class/bdi/" + device + "/read_ahead_kb"
	if r := try(t, "test", "-w", setting); r.code != 0 {
		t.Skip("nobody may set it here")
	}
	got := strings.TrimSpace(output(t, "cat", setting))
	if got != "512" {
		t.Errorf("the kernel reads %s KiB ahead", got)
	}
}
