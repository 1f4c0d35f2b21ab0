package release

import (
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestFstabWithLateNetwork boots with an installed package and an fstab, before there is
// a network: what is listed fails and says so, and is mounted when the network is there.
// At another boot what was mounted once is there without it.
func TestFstabWithLateNetwork(t *testing.T) {
	needFUSE(t)
	r := newDebian(t)
	r.dpkg(t, "--install", built(t, release, "*_"+runtime.GOARCH+".deb"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	const options = "cache-dir=/var/cache/orasfs"
	r.write(t, "/etc/fstab", host+" /mnt/oci orasfs _netdev,nofail,x-systemd.automount,"+options+" 0 0\n"+
		host+"/hello:v1 /mnt/one fuse.orasfs user,noauto,"+options+" 0 0\n")
	if err := os.Mkdir(r.path("/mnt/one"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := r.begin(t, `
		mount -a 2>/tmp/said || echo "at boot: $?"
		! mount /mnt/one 2>>/tmp/said || echo "mounted without a network"
		: >/tmp/failed; await network
		mount -a; mount /mnt/one
		cat /mnt/oci/hello:v2/files/hello.txt /mnt/one/hello.txt
		umount /mnt/oci; umount /mnt/one
		: >/tmp/read; await outage
		mount -a; mount /mnt/one
		cat /mnt/oci/hello:v2/files/hello.txt /mnt/one/hello.txt
		umount /mnt/oci; umount /mnt/one`)
	s.await(t, "failed")
	said := readFile(t, r.path("/tmp/said"))
	for _, want := range []string{host, "refuses the connection"} {
		if strings.Count(said, want) < 2 {
			t.Errorf("without a network mount(8) says %q", said)
		}
	}
	server := httptest.NewUnstartedServer(helloRegistry())
	_ = server.Listener.Close() // it has had no visitor
	if server.Listener, err = net.Listen("tcp", host); err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	s.goOn(t, "network")
	s.await(t, "read")
	server.CloseClientConnections()
	server.Close()
	s.goOn(t, "outage")
	const once = "hello again\nhello world\n"
	if got := s.end(t); got != "at boot: 32\n"+once+once {
		t.Errorf("it prints\n%s\nand mount(8) says\n%s", got, readFile(t, r.path("/tmp/said")))
	}
}
