package release

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestChecksums holds SHA256SUMS against the files beside it.
func TestChecksums(t *testing.T) {
	entries, err := os.ReadDir(release)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	want := ""
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" {
			continue
		}
		names = append(names, e.Name())
		want += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(readFile(t, filepath.Join(release, e.Name())))), e.Name())
	}
	if got := readFile(t, filepath.Join(release, "SHA256SUMS")); got != want {
		t.Errorf("SHA256SUMS is\n%sexpected\n%s", got, want)
	}
	expected := []string{
		"orasfs-1.2.3~rc1-1.aarch64.rpm", "orasfs-1.2.3~rc1-1.x86_64.rpm",
		"orasfs-csi-1.2.3-rc1.tgz", "orasfs-csi-v1.2.3-rc1-image.tar",
		"orasfs-v1.2.3-rc1-darwin-amd64.tar.gz", "orasfs-v1.2.3-rc1-darwin-arm64.tar.gz",
		"orasfs-v1.2.3-rc1-image.tar",
		"orasfs-v1.2.3-rc1-linux-amd64.tar.gz", "orasfs-v1.2.3-rc1-linux-arm64.tar.gz",
		"orasfs_1.2.3_rc1-r1_aarch64.apk", "orasfs_1.2.3_rc1-r1_x86_64.apk",
		"orasfs_1.2.3~rc1-1_amd64.deb", "orasfs_1.2.3~rc1-1_arm64.deb",
	}
	if !slices.Equal(names, expected) {
		t.Errorf("a release is\n%s\nexpected\n%s", strings.Join(names, "\n"), strings.Join(expected, "\n"))
	}
}

// TestReproducible builds the same from sources that lie elsewhere and know their
// version and time from git.
func TestReproducible(t *testing.T) {
	for line := range strings.Lines(readFile(t, filepath.Join(release, "SHA256SUMS"))) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if readFile(t, filepath.Join(release, name)) != readFile(t, filepath.Join(again, name)) {
			t.Errorf("%s isn't the same when it is built once more", name)
		}
	}
}
