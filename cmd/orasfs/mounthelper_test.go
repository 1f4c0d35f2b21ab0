package main

import (
	"strings"
	"testing"
)

func TestMountHelperArgs(t *testing.T) {
	for _, test := range []struct {
		args, want string // want begins with "fake " where nothing is to be done, and is "" for an error
	}{
		{"ghcr.io /mnt", "-- ghcr.io /mnt"},
		{"ghcr.io /mnt -o ro,nofail", "--options=ro,nofail -- ghcr.io /mnt"},
		{"ghcr.io /mnt -sn -o a -ob -t fuse.orasfs", "--options=a --options=b -- ghcr.io /mnt"},
		{"ghcr.io /mnt -v -N /proc/1/ns/mnt", "--verbose -- ghcr.io /mnt"},
		{"-o ro ghcr.io /mnt", "--options=ro -- ghcr.io /mnt"},
		{"ghcr.io /mnt -fv", "fake --verbose -- ghcr.io /mnt"},
		{"ghcr.io /mnt -svo ro", "--verbose --options=ro -- ghcr.io /mnt"},
		{"ghcr.io", ""},
		{"ghcr.io /mnt more", ""},
		{"ghcr.io /mnt -o", ""},
		{"ghcr.io /mnt -x", ""},
	} {
		got, fake, err := mountHelperArgs(strings.Fields(test.args))
		shown := strings.Join(got, " ")
		if fake {
			shown = "fake " + shown
		}
		if err != nil {
			shown = ""
		}
		if shown != test.want {
			t.Errorf("%s: %q (%v), not %q", test.args, shown, err, test.want)
		}
	}
	for program, want := range map[string]bool{"/sbin/mount.orasfs": true, "mount.fuse.orasfs": true, "/usr/bin/orasfs": false, "mount.fuse3": false} {
		if isMountHelper(program) != want {
			t.Errorf("%s is called by mount(8): %t", program, !want)
		}
	}
}
