package fs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// loggedComplaints are complaints with a clock that moves by hand.
func loggedComplaints() (c *complaints, lines func() []string, pass func(time.Duration)) {
	var log bytes.Buffer
	c = newComplaints(slog.New(slog.NewTextHandler(&log, nil)))
	now := time.Unix(1000, 0)
	c.now = func() time.Time { return now }
	lines = func() []string {
		defer log.Reset()
		return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	}
	return c, lines, func(d time.Duration) { now = now.Add(d) }
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d lines, expected %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i, w := range want {
		if _, line, _ := strings.Cut(got[i], "msg="); line != w {
			t.Errorf("line %q, expected %q", line, w)
		}
	}
}

func TestComplaints(t *testing.T) {
	c, lines, pass := loggedComplaints()
	down, denied := errors.New("down"), errors.New("denied")

	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			for range 200 {
				c.add("read", "host/app", "EIO", down)
			}
		})
	}
	readers.Wait()
	const first = "read reference=host/app errno=EIO error=down"
	wantLines(t, lines(), first)

	// Another cause, another object, another operation: each has its line.
	c.add("read", "host/app", "EACCES", denied)
	c.add("read", "host/other", "EIO", down)
	c.add("open", "host/app", "EIO", down)
	wantLines(t, lines(), "read reference=host/app errno=EACCES error=denied",
		"read reference=host/other errno=EIO error=down", "open reference=host/app errno=EIO error=down")

	pass(complainEvery - 1)
	c.add("read", "host/app", "EIO", down)
	wantLines(t, lines(), "")
	pass(1)
	c.add("read", "host/app", "EIO", down)
	wantLines(t, lines(), first+" repeated=4000")
	c.flush()
	wantLines(t, lines(), "") // nothing has come since
}

// What has gone quiet is counted in a line of its own.
func TestComplaintsQuiet(t *testing.T) {
	c, lines, pass := loggedComplaints()
	for range 3 {
		c.add("read", "host/a", "EIO", errors.New("down"))
	}
	pass(complainEvery)
	c.add("read", "host/b", "EIO", errors.New("down"))
	const a, b = "read reference=host/a errno=EIO error=down", "read reference=host/b errno=EIO error=down"
	wantLines(t, lines(), a, a+" repeated=2", b)
	c.add("read", "host/b", "EIO", errors.New("down"))
	c.flush()
	wantLines(t, lines(), b+" repeated=1")
	c.add("read", "host/b", "EIO", errors.New("down"))
	wantLines(t, lines(), b)
}

// The number of those that are counted is bounded, and no count is lost.
func TestComplaintsBound(t *testing.T) {
	c, lines, _ := loggedComplaints()
	const objects = 3 * maxComplaints
	for i := range objects {
		for range 2 {
			c.add("read", fmt.Sprint("host/", i), "EIO", errors.New("down"))
		}
	}
	if n := c.recent.Len(); n > maxComplaints {
		t.Errorf("%d are remembered", n)
	}
	c.flush()
	if all := lines(); len(all) != 2*objects || strings.Count(strings.Join(all, "\n"), "repeated=1") != objects {
		t.Errorf("%d lines for %d objects", len(all), objects)
	}
}

// Each connection has a port of its own, and is no cause of its own.
func TestReason(t *testing.T) {
	reset := func(port int) error {
		return fmt.Errorf("get: %w", &net.OpError{
			Op: "read", Net: "tcp", Err: syscall.ECONNRESET,
			Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000},
		})
	}
	if one, two := reasonOf(reset(40000)), reasonOf(reset(40001)); one != two || !strings.Contains(one, "127.0.0.1:5000: connection reset") {
		t.Errorf("%q and %q", one, two)
	}
}
