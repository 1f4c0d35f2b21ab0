package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckFUSEDevice(t *testing.T) {
	none := filepath.Join(t.TempDir(), "fuse")
	wantError(t, checkFUSEDevice(none), "no "+none, "modprobe fuse", "--device")
	if err := checkFUSEDevice("/dev/null"); err != nil {
		t.Errorf("a device that opens: %v", err)
	}
}

func TestCheckFUSEAsPlainUser(t *testing.T) {
	if os.Geteuid() == 0 {
		asPlainUser(t, "TestCheckFUSEAsPlainUser")
		return
	}
	device := filepath.Join(t.TempDir(), "fuse")
	writeFile(t, device, "")
	if err := os.Chmod(device, 0); err != nil {
		t.Fatal(err)
	}
	wantError(t, checkFUSEDevice(device), device, "permission denied", "--device")
}

func TestFusermountMissing(t *testing.T) {
	if _, err := os.Stat("/bin/fusermount3"); err == nil {
		t.Skip("fusermount3 is found without PATH too")
	}
	t.Setenv("PATH", t.TempDir())
	_, err := fusermount()
	wantError(t, err, "fusermount3", "install fuse3")
}

func TestIsAllowOtherPermitted(t *testing.T) {
	config := filepath.Join(t.TempDir(), "fuse.conf")
	if isAllowOtherPermitted(config) {
		t.Error("permitted without fuse.conf")
	}
	for content, want := range map[string]bool{
		"":                       false,
		"#user_allow_other\n":    false,
		"mount_max = 1000\n":     false,
		"user_allow_other_not\n": false,
		"user_allow_other":       true,
		"# why\n  user_allow_other \nmount_max = 1\n": true,
	} {
		writeFile(t, config, content)
		if got := isAllowOtherPermitted(config); got != want {
			t.Errorf("%q: %t, expected %t", content, got, want)
		}
	}
}
