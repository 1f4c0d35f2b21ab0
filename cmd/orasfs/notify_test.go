package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The watchdog isn't told that a mount answers which doesn't, or of which nobody can tell.
func TestWatchdogOfSilentMount(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close() //nolint:errcheck // it was only read
	t.Setenv("NOTIFY_SOCKET", socket.LocalAddr().String())
	for name, command := range map[string][]string{"silent": {"sleep", "600"}, "failing": {"false"}, "unknown": {"/nowhere"}} {
		recent := newRecentErrors(slog.NewTextHandler(io.Discard, nil))
		n := &systemdNotifier{log: slog.New(recent)}
		h := newHealth("/mnt/oci")
		h.within = 50 * time.Millisecond
		h.command = func(ctx context.Context, _ string) *exec.Cmd {
			return exec.CommandContext(ctx, command[0], command[1:]...)
		}
		ctx, stop := context.WithCancel(t.Context())
		n.done.Go(func() { n.watch(ctx, 10*time.Millisecond, h) })
		for all := recent.all(); len(all) == 0 || all[0].Count < 3; all = recent.all() {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		n.done.Wait()
		n.say("end")
		said := make([]byte, 100)
		if k, err := socket.Read(said); err != nil || string(said[:k]) != "end" {
			t.Errorf("%s: systemd is told %q, %v", name, said[:k], err)
		}
	}
}
