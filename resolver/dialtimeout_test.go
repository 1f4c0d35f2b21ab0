//go:build linux

package resolver

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deaf listens on a port where nobody accepts, and no more connections come about.
func deaf(t *testing.T) (address string) {
	t.Helper()
	local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	listener := socket()
	if err := errors.Join(unix.Bind(listener, local), unix.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 { // more than wait there
		if err := unix.Connect(socket(), at); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			t.Fatal(err)
		}
	}
	bound, ok := at.(*unix.SockaddrInet4)
	if !ok {
		t.Fatalf("%T isn't an IPv4 address", at)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.Port)
}

// A mirror that takes no connection is passed over after its dial_timeout, however long
// an answer may take.
func TestMirrorDialTimeout(t *testing.T) {
	m := newMirrored(t)
	m.say(t, fmt.Sprintf("[host.\"http://%s\"]\ndial_timeout = \"20ms\"\n", deaf(t)))
	r := m.connect(t, Options{Timeout: time.Hour})
	mirror := r.registry.mirrors.ways[0]
	_, err := mirror.hosts.dialer(mirror.origin, false)(t.Context(), "tcp", mirror.origin.Host)
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() || errors.Is(err, unix.ETIMEDOUT) { // that is the kernel's, after minutes
		t.Fatalf("a connection: %v", err)
	}
	m.checkAll(t, r)
}
