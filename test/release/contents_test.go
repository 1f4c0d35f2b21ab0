package release

import (
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"
)

// installed is what all Linux packages hold, besides folders that others have too,
// licences, and what lies elsewhere in each.
var installed = []string{
	"/etc/orasfs",
	"/usr/bin/orasfs",
	"/usr/lib/systemd/system/orasfs@.service",
	"/usr/share/bash-completion/completions/orasfs",
	"/usr/share/doc/orasfs/LICENSES",
	"/usr/share/doc/orasfs/example.env",
	"/usr/share/doc/orasfs/grafana-dashboard.json",
	"/usr/share/fish/vendor_completions.d/orasfs.fish",
	"/usr/share/man/man1/orasfs-mount.1.gz",
	"/usr/share/man/man1/orasfs-status.1.gz",
	"/usr/share/man/man1/orasfs-umount.1.gz",
	"/usr/share/man/man1/orasfs.1.gz",
	"/usr/share/man/man8/mount.fuse.orasfs.8.gz",
	"/usr/share/man/man8/mount.orasfs.8.gz",
}

// checkInstalled looks at what a package has installed into a root.
func checkInstalled(t *testing.T, r root, more ...string) {
	t.Helper()
	for _, path := range append(more, installed...) {
		if _, err := os.Lstat(r.path(path)); err != nil {
			t.Errorf("not there: %v", err)
		}
	}
	page := gunzip(t, readFile(t, r.path("/usr/share/man/man1/orasfs-mount.1.gz")))
	for _, words := range []string{`.TH "ORASFS-MOUNT" "1" "Nov 2023" "orasfs v1.2.3-rc1`, `\fB--cache-size\fP=10GiB`, "~/.cache/orasfs", "EXAMPLE"} {
		if !strings.Contains(page, words) {
			t.Errorf("orasfs-mount(1) doesn't say %q:\n%.600s", words, page)
		}
	}
	if licenses := readFile(t, r.path("/usr/share/doc/orasfs/LICENSES")); !strings.Contains(licenses, "==== github.com/hanwen/go-fuse/v2\n") {
		t.Errorf("LICENSES doesn't have go-fuse's: %.200s", licenses)
	}
	for _, name := range []string{"mount.orasfs", "mount.fuse.orasfs"} {
		if target, err := os.Readlink(r.path("/sbin/" + name)); err != nil || target != "/usr/bin/orasfs" && target != "../bin/orasfs" {
			t.Errorf("/sbin/%s is a link to %q (%v)", name, target, err)
		}
	}
}

func gunzip(t *testing.T, compressed string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
