package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestAPK reads a package: gzip streams of tars, one after another.
func TestAPK(t *testing.T) {
	held := untar(t, readFile(t, built(t, release, "*_"+rpmArch()+".apk")))
	names := slices.Sorted(maps.Keys(held))
	for _, path := range append([]string{"/usr/share/zsh/site-functions/_orasfs", "/usr/share/licenses/orasfs/LICENSE"}, installed...) {
		if !slices.Contains(names, strings.TrimPrefix(path, "/")) {
			t.Errorf("%s isn't there: %q", path, names)
		}
	}
	for _, name := range []string{"sbin/mount.orasfs", "sbin/mount.fuse.orasfs"} {
		if got := held[name].link; got != "/usr/bin/orasfs" {
			t.Errorf("%s is a link to %q", name, got)
		}
	}
	for _, line := range []string{"pkgver = 1.2.3_rc1-r1", "arch = " + rpmArch()} {
		if !strings.Contains(held[".PKGINFO"].content, line+"\n") {
			t.Errorf(".PKGINFO doesn't say %q:\n%s", line, held[".PKGINFO"].content)
		}
	}
	built(t, later, "orasfs_1.2.3_rc1_p1-r1_"+rpmArch()+".apk")
}

// A member is what a tar says of one file.
type member struct {
	mode          int64
	content, link string
}

// untar reads a tar that is compressed by gzip.
func untar(t *testing.T, compressed string) map[string]member {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	return readTar(t, z)
}

// readTar reads a tar by the names in it, without a slash at their ends.
func readTar(t *testing.T, from io.Reader) map[string]member {
	t.Helper()
	members := map[string]member{}
	for r := tar.NewReader(from); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		members[strings.TrimSuffix(header.Name, "/")] = member{header.Mode, string(content), header.Linkname}
	}
}
