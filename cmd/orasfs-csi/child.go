//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A childRunner starts processes itself, each in a session of its own. They end with
// the driver only where it is the first process of a container.
type childRunner struct {
	program     string
	environment []string
	dir         string // is this driver's alone: another's processes may be seen, and aren't ours
}

// unitVariable has dir/NAME in a process's environment, and so in those that it starts:
// it can be found by that, whoever started it.
const unitVariable = "CSI_UNIT"

const (
	// endPatience is what a process gets to end after it was asked to.
	endPatience = 10 * time.Second
	// gonePoll is how often is looked whether it has.
	gonePoll = 20 * time.Millisecond
	// maxWords bounds what is shown of what a process says, in bytes.
	maxWords = 4 << 10
)

func (r *childRunner) start(ctx context.Context, name string, args []string) error {
	cmd := exec.CommandContext(ctx, r.program, args...) //nolint:gosec // orasfs; what a volume asks for comes after a flag's = or after --
	cmd.Env = append(slices.Clone(r.environment), unitVariable+"="+r.unit(name))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endPatience
	var words tail
	cmd.Stderr = &words
	err := cmd.Run()
	if err == nil {
		return nil
	}
	// Whatever it has started is gone if it could do that itself.
	cleaning, done := context.WithTimeout(context.WithoutCancel(ctx), 2*endPatience)
	defer done()
	left := r.stop(cleaning, name)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), left)
	}
	return errors.Join(words.or(err), left)
}

// unit is what the processes of a name have in their environment.
func (r *childRunner) unit(name string) string { return filepath.Join(r.dir, name) }

func (r *childRunner) stop(ctx context.Context, name string) error {
	for _, signal := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		patience := time.Now().Add(endPatience)
		for time.Now().Before(patience) {
			pids, err := r.find(name)
			if err != nil || len(pids) == 0 {
				return err
			}
			for _, pid := range pids {
				if err := pid.signal(signal); err != nil {
					return err
				}
			}
			// Each is asked once.
			for _, pid := range pids {
				if err := pid.await(ctx, time.Until(patience)); err != nil {
					return err
				}
			}
		}
	}
	return fmt.Errorf("processes of %s don't end", name)
}

func (r *childRunner) running(context.Context) ([]string, error) {
	var names []string
	err := eachProcess(func(_ int, unit string) error {
		dir, name := filepath.Split(unit)
		if filepath.Clean(dir) == r.dir && !slices.Contains(names, name) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// find opens the processes of a name.
func (r *childRunner) find(name string) (found []process, err error) {
	err = eachProcess(func(pid int, unit string) error {
		if unit != r.unit(name) {
			return nil
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("process %d: %w", pid, err)
		}
		p := process{os.NewFile(uintptr(fd), "process "+strconv.Itoa(pid))}
		// The number may be another's since its environment was read.
		if again, err := unitOf(pid); err != nil || again != unit {
			return p.file.Close()
		}
		found = append(found, p)
		return nil
	})
	return found, err
}

// A process is one that can't be taken for another that has its number later.
type process struct{ file *os.File }

func (p process) signal(s syscall.Signal) error {
	err := unix.PidfdSendSignal(int(p.file.Fd()), s, nil, 0) //nolint:gosec // a file descriptor is small
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// await waits until a process has ended, but not longer than patience, and closes it.
func (p process) await(ctx context.Context, patience time.Duration) error {
	defer p.file.Close() //nolint:errcheck // it holds nothing
	end := time.Now().Add(patience)
	for {
		poll := []unix.PollFd{{Fd: int32(p.file.Fd()), Events: unix.POLLIN}} //nolint:gosec // a file descriptor is small
		n, err := unix.Poll(poll, int(gonePoll.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0 || time.Now().After(end):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// eachProcess calls do for the processes that have a unit. One that has ended and that
// nobody has waited for yet has none.
func eachProcess(do func(pid int, unit string) error) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		unit, err := unitOf(pid)
		if err != nil {
			return err
		}
		if unit == "" {
			continue
		}
		if err := do(pid, unit); err != nil {
			return err
		}
	}
	return nil
}

// unitOf is a process's unit, "" where it has none or is gone.
func unitOf(pid int) (string, error) {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	switch {
	case errors.Is(err, iofs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, iofs.ErrPermission):
		return "", nil
	case err != nil:
		return "", err
	}
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if unit, ok := bytes.CutPrefix(variable, []byte(unitVariable+"=")); ok {
			return string(unit), nil
		}
	}
	return "", nil
}

// A tail keeps the end of what is written to it, maxWords at most.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - maxWords; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// or is what was written, as an error; err where that is nothing.
func (t *tail) or(err error) error {
	words := strings.TrimSpace(string(t.text))
	if words == "" {
		return err
	}
	return errors.New(strings.TrimPrefix(words, "orasfs: "))
}
