package release

import (
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestUpgradeWithMount upgrades and removes a package while something is mounted: that
// goes on, and is the new one's when it is mounted anew.
func TestUpgradeWithMount(t *testing.T) {
	needFUSE(t)
	r := newDebian(t)
	r.dpkg(t, "--install", built(t, release, "*_"+runtime.GOARCH+".deb"))
	server := httptest.NewServer(helloRegistry())
	defer server.Close()
	r.write(t, "/etc/fstab", server.Listener.Addr().String()+" /mnt/oci orasfs cache-dir=/var/cache/orasfs 0 0\n")
	s := r.begin(t, `
		mount -a
		cat /mnt/oci/hello:v1/files/hello.txt
		: >/tmp/mounted; await upgraded
		cat /mnt/oci/hello:v2/files/hello.txt
		orasfs status /mnt/oci >/tmp/before
		umount /mnt/oci
		mount -a
		orasfs status /mnt/oci >/tmp/after
		cat /mnt/oci/hello:v1/files/hello.txt
		: >/tmp/anew; await removed
		cat /mnt/oci/hello:v2/files/hello.txt
		umount /mnt/oci`)
	s.await(t, "mounted")
	r.dpkg(t, "--install", built(t, later, "*.deb"))
	s.goOn(t, "upgraded")
	s.await(t, "anew")
	r.dpkg(t, "--remove", "orasfs")
	s.goOn(t, "removed")
	if got, want := s.end(t), strings.Repeat("hello world\nhello again\n", 2); got != want {
		t.Errorf("it reads\n%s", got)
	}
	for file, want := range map[string]string{"/tmp/before": version, "/tmp/after": laterVersion} {
		if got := readFile(t, r.path(file)); !strings.Contains(got, "version "+want+",") {
			t.Errorf("%s isn't of %s:\n%s", file, want, got)
		}
	}
}

// TestUpgradeTellsSystemd has a systemd that only notes what it is told: at an upgrade to
// read the units again, and to end no mount; when the package goes, to end them all.
func TestUpgradeTellsSystemd(t *testing.T) {
	r := newDebian(t)
	if err := os.MkdirAll(r.path("/run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("/usr/bin/systemctl"), []byte("#!/bin/sh\necho \"$@\" >>/tmp/told\n"), 0o755); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	const reload, stop = "daemon-reload\n", "stop orasfs@*.service\n"
	for _, step := range []struct {
		name string
		args []string
		want string
	}{
		{"installed", []string{"--install", built(t, release, "*_"+runtime.GOARCH+".deb")}, reload},
		{"upgraded", []string{"--install", built(t, later, "*.deb")}, reload + reload},
		{"removed", []string{"--remove", "orasfs"}, stop + reload},
	} {
		r.write(t, "/tmp/told", "")
		r.dpkg(t, step.args...)
		if got := readFile(t, r.path("/tmp/told")); got != step.want {
			t.Errorf("%s: systemctl is told\n%s", step.name, got)
		}
	}
}
