//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// warmings are what is fetched ahead of use. Each ends with the driver: what has come
// is in the cache then, and the volume's next publication goes on from there.
type warmings struct {
	ctx         context.Context // that of the driver
	program     string
	environment []string
	log         *slog.Logger

	mu    sync.Mutex // guards of
	of    map[string]*warming
	group sync.WaitGroup
}

// A warming is one that is under way.
type warming struct {
	done   chan struct{}
	err    error // once done is closed
	cancel context.CancelFunc
	source string
}

// warmNice is how much more important everything else is than fetching ahead.
const warmNice = 10

// start has a source's artifact fetched with args, unless that is done already. after is
// called once all of it is here.
func (w *warmings) start(source string, args []string, after func() error) *warming {
	key := source + "\x00" + strings.Join(args, "\x00")
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.of[key]; one != nil {
		return one
	}
	ctx, cancel := context.WithCancel(w.ctx)
	one := &warming{done: make(chan struct{}), cancel: cancel, source: source}
	if w.of == nil {
		w.of = make(map[string]*warming)
	}
	w.of[key] = one
	w.group.Go(func() {
		defer cancel()
		err := w.run(ctx, args)
		if err == nil {
			err = after()
		}
		if err != nil && ctx.Err() == nil {
			w.log.Warn("not all was fetched ahead", "source", source, "error", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of, key)
		one.err = err
		close(one.done)
	})
	return one
}

// run runs orasfs until it has fetched all.
func (w *warmings) run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, w.program, args...) //nolint:gosec // orasfs; what a volume asks for comes after a flag's = or after --
	cmd.Env = slices.Clone(w.environment)
	// It ends with the driver also where that is killed: the kernel sees to it when the
	// thread is gone that has started it, so this one is kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = endPatience
	var words tail
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, warmNice); err != nil && !errors.Is(err, unix.ESRCH) {
		w.log.Debug("fetching ahead is as important as all else", "error", err)
	}
	if err := cmd.Wait(); err != nil {
		return words.or(err)
	}
	return nil
}

// wait waits until one is done.
func (one *warming) wait(ctx context.Context) error {
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end ends what is fetched for a source, and waits for it.
func (w *warmings) end(source string) {
	w.mu.Lock()
	var ending []*warming
	for _, one := range w.of {
		if one.source == source {
			one.cancel()
			ending = append(ending, one)
		}
	}
	w.mu.Unlock()
	for _, one := range ending {
		<-one.done
	}
}

// warmArgs are the arguments with which orasfs fetches what a volume shows.
func (s *sources) warmArgs(id string, v wants) []string {
	args := append([]string{"warm", "--quiet"}, s.contentArgs(id, v.Share)...)
	include := v.Include
	if len(include) == 0 && v.SubPath != "" {
		include = []string{asPattern(v.SubPath)}
	}
	for _, pattern := range include {
		args = append(args, "--include="+pattern)
	}
	for _, pattern := range v.Exclude {
		args = append(args, "--exclude="+pattern)
	}
	target := v.Share.Reference
	if view := v.Share.View; view == "files" || view == "rootfs" {
		target += "/" + view
	}
	return append(args, "--", target)
}

// asPattern is a pattern that matches a path, and what is below it.
func asPattern(path string) string {
	var escaped strings.Builder
	for _, r := range path {
		if strings.ContainsRune(`*?[]{}\`, r) {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
	}
	if !strings.Contains(path, "/") {
		// Without a slash it would be a name, wherever that is.
		return fmt.Sprintf("/%s", escaped.String())
	}
	return escaped.String()
}
