package mount

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A notifySocket is where a service of Type=notify tells systemd how it is.
type notifySocket struct{ *net.UnixConn }

func listenForNotify(t testing.TB) notifySocket {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return notifySocket{socket}
}

// variable is what the service has in its environment.
func (s notifySocket) variable() string { return "NOTIFY_SOCKET=" + s.LocalAddr().String() }

// next waits until something is told that has a word in it. What is told before is
// passed over.
func (s notifySocket) next(t testing.TB, word string) string {
	t.Helper()
	buffer := make([]byte, 4096)
	for {
		if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := s.Read(buffer)
		if err != nil {
			t.Fatalf("systemd isn't told %s: %v", word, err)
		}
		if said := string(buffer[:n]); strings.Contains(said, word) {
			return said
		}
	}
}

// silent fails the test if something has been told.
func (s notifySocket) silent(t testing.TB, when string) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	if n, err := s.Read(buffer); err == nil {
		t.Errorf("%s systemd is told %q", when, buffer[:n])
	}
}
