package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Whether a mount answers only the mount can say. A process that asks its own may wait
// for itself, and can't even be killed then, so the question is another one's: this
// program, started again, which asks and ends.

// askMountName is the name under which that is started.
const askMountName = "orasfs-ask-mount"

// healthWithin is how long a mount may take to answer.
const healthWithin = 5 * time.Second

// A health is a handler that tells whether a mount answers.
type health struct {
	mountpoint string
	within     time.Duration
	command    func(ctx context.Context, mountpoint string) *exec.Cmd
	asking     chan struct{} // holds a token while somebody asks: one that gets no answer stays
}

func newHealth(mountpoint string) *health {
	return &health{mountpoint: mountpoint, within: healthWithin, command: askMountCommand, asking: make(chan struct{}, 1)}
}

func askMountCommand(ctx context.Context, mountpoint string) *exec.Cmd {
	program := "/proc/self/exe" // also where a newer one was put in its place
	if runtime.GOOS != "linux" {
		program, _ = os.Executable() // else it can't be started, which is said then
	}
	cmd := exec.CommandContext(ctx, program) //nolint:gosec // ourselves
	cmd.Args = []string{askMountName, mountpoint}
	cmd.Env = []string{} // it needs none of ours
	cmd.Dir = "/"
	return cmd
}

// ServeHTTP answers 200 where the mount answers within healthWithin, else 503 and why.
func (h *health) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), h.within)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := h.check(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, printable(err.Error())+"\n") // who asked may be gone
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// check asks the mount, and waits no longer than ctx lasts. What asks is killed then;
// until it is gone nobody else is asked.
func (h *health) check(ctx context.Context) error {
	silent := fmt.Errorf("the mount at %s doesn't answer", h.mountpoint)
	select {
	case h.asking <- struct{}{}:
	case <-ctx.Done():
		return silent
	}
	cmd := h.command(ctx, h.mountpoint)
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		<-h.asking
		return fmt.Errorf("ask the mount: %w", err)
	}
	answer := make(chan error, 1)
	go func() { // ends with the process: at the mount's end at the latest
		answer <- cmd.Wait()
		<-h.asking
	}()
	select {
	case err := <-answer:
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return silent
		case said.Len() > 0:
			return errors.New(strings.TrimSpace(said.String()))
		}
		return fmt.Errorf("ask the mount: %w", err)
	case <-ctx.Done():
		return silent
	}
}

// end waits until nobody asks any more, or for monitorGrace: what asks was killed, and is
// gone at the latest when the mount is.
func (h *health) end() {
	select {
	case h.asking <- struct{}{}:
	case <-time.After(monitorGrace):
	}
}

// askMount asks a mount, as the program that health starts, and gives the exit code.
func askMount(mountpoint string, stderr io.Writer) int {
	var st unix.Statfs_t
	err := unix.Statfs(mountpoint, &st)
	switch {
	case err != nil:
		tell(stderr, fmt.Sprintf("the mount at %s: %v", mountpoint, err))
		return exitFailure
	case !isFUSE(&st):
		tell(stderr, "nothing of orasfs is mounted at "+mountpoint)
		return exitFailure
	}
	return 0
}
