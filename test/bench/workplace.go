//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A workplace is where everything happens: the programs, a directory, a
// registry and a toxiproxy.
type workplace struct {
	tools string
	layer string // of the image
	scale float64

	dir       string
	orasfs    string
	registry  string // host and port
	toxiproxy string // host and port of its API
	blobs     map[string]blob
	hasDebian bool           // the registry has the Debian image
	undo      []func() error // what ends what was begun, in the order of beginning
}

// open builds orasfs and starts what always runs. Whatever comes of it, close
// ends it.
func (w *workplace) open(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "orasfs-bench-"); err != nil {
		return err
	}
	w.atEnd(func() error { return os.RemoveAll(w.dir) })
	w.orasfs = filepath.Join(w.dir, "orasfs")
	w.blobs = make(map[string]blob)
	if err := w.run(ctx, "go", "build", "-buildvcs=false", "-o", w.orasfs, "github.com/orasfs/orasfs/cmd/orasfs"); err != nil {
		return err
	}
	if w.registry, err = w.startRegistry(ctx, ""); err != nil {
		return err
	}
	// A repository is there once it has a manifest.
	if _, err := w.pushTags(ctx, w.registry, 1); err != nil {
		return err
	}
	return w.startToxiproxy(ctx)
}

func (w *workplace) atEnd(undo func() error) { w.undo = append(w.undo, undo) }

// close ends and removes everything, the last first.
func (w *workplace) close() error {
	var errs []error
	for _, undo := range slices.Backward(w.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

func (w *workplace) tool(name string) string { return filepath.Join(w.tools, name) }

// size is a size at the scale that is asked for: whole MiB, at least one.
func (w *workplace) size(n int64) int64 {
	return max(int64(float64(n)*w.scale)>>20, 1) << 20
}

// count is a count at that scale.
func (w *workplace) count(n int) int { return max(int(float64(n)*w.scale), 1) }

// command is one that ends with its children when ctx does. It isn't in the
// terminal's process group: Ctrl-C comes to it by ctx, so that nothing dies
// before its turn.
func (w *workplace) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+w.dir, "OTEL_TRACES_EXPORTER=none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// run runs a command to its end. What it prints on standard output is thrown
// away, what it says on standard error is shown if it fails.
func (w *workplace) run(ctx context.Context, name string, args ...string) error {
	return w.runTo(ctx, nil, name, args...)
}

func (w *workplace) runTo(ctx context.Context, out io.Writer, name string, args ...string) error {
	cmd := w.command(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), errors.Join(ctx.Err(), err), said.Bytes())
	}
	return nil
}

// start starts a server that runs until close.
func (w *workplace) start(name string, args ...string) error {
	cmd := w.command(context.Background(), name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	w.atEnd(func() error {
		_ = cmd.Process.Kill() // it holds nothing that is worth saving
		_ = cmd.Wait()
		return nil
	})
	return nil
}

// until calls try until it gives nil, for ten seconds at most.
func until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePort is a port of localhost that nobody listens on, until somebody does.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// timed is a step that takes the time of do.
func timed(name string, do func(context.Context) error) step {
	return func(ctx context.Context) (results, error) {
		began := time.Now()
		err := do(ctx)
		return results{name: time.Since(began).Seconds()}, err
	}
}

// dropPages makes the kernel forget what it has read of any file system.
func dropPages() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}
