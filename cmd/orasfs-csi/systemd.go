//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// A systemdRunner has the node's systemd run processes, as transient units: they have
// nothing to do with the container of the driver, and live on without it.
type systemdRunner struct {
	program     string // at the same path on the node
	environment []string
	words       string                                       // a directory for what processes say when they are started
	dial        func(context.Context) (*systemd.Conn, error) // one for each call: a bus may be started anew
}

// newSystemdRunner finds whether there is a systemd to run processes.
func newSystemdRunner(ctx context.Context, program string, environment []string, words string) (*systemdRunner, error) {
	if err := makeDir(words); err != nil {
		return nil, err
	}
	r := &systemdRunner{program: program, environment: environment, words: words, dial: systemd.NewWithContext}
	if _, err := r.running(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// connect is a connection to systemd, to be closed.
func (r *systemdRunner) connect(ctx context.Context) (*systemd.Conn, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the node's systemd over D-Bus: %w", err)
	}
	return c, nil
}

// serviceSuffix is how the name of a unit ends that has processes.
const serviceSuffix = ".service"

func (r *systemdRunner) start(ctx context.Context, name string, args []string) (err error) {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	path := filepath.Join(r.words, name)
	words, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600) //nolint:gosec // in our own directory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, words.Close(), os.Remove(path)) }()
	done := make(chan string, 1)
	if _, err := c.StartTransientUnitContext(ctx, name+serviceSuffix, "fail", r.properties(args, path), done); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	result, err := await(ctx, done)
	if err == nil && result == "done" {
		return nil
	}
	cleaning, cleaned := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cleaned()
	left := r.stop(cleaning, name)
	if err != nil {
		return errors.Join(err, left)
	}
	return errors.Join(lastWords(words).or(fmt.Errorf("start %s: %s", name, result)), left)
}

// lastWords are the end of a file.
func lastWords(f *os.File) *tail {
	var t tail
	if _, err := f.WriteTo(&t); err != nil {
		return new(tail)
	}
	return &t
}

// properties are those of a unit whose first process ends once a daemon that it started
// answers.
func (r *systemdRunner) properties(args []string, words string) []systemd.Property {
	command := []string{r.program}
	for _, arg := range args {
		command = append(command, strings.ReplaceAll(arg, "$", "$$")) // which is otherwise a variable's
	}
	property := func(name string, value any) systemd.Property {
		return systemd.Property{Name: name, Value: dbus.MakeVariant(value)}
	}
	return []systemd.Property{
		systemd.PropDescription("orasfs: a volume of " + driverName),
		systemd.PropType("forking"),
		systemd.PropExecStart(command, false), // true is what a - before it is in a unit's file
		property("Environment", r.environment),
		property("StandardErrorFile", words),
		property("TimeoutStartUSec", uint64(math.MaxUint64)), // ctx says how long
		property("TimeoutStopUSec", uint64(endPatience/time.Microsecond)),
		property("CollectMode", "inactive-or-failed"),
	}
}

func (r *systemdRunner) stop(ctx context.Context, name string) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	done := make(chan string, 1)
	if _, err := c.StopUnitContext(ctx, name+serviceSuffix, "replace", done); err != nil {
		if isNoUnit(err) {
			return nil
		}
		return fmt.Errorf("stop %s: %w", name, err)
	}
	result, err := await(ctx, done)
	if err != nil {
		return err
	}
	if result != "done" {
		return fmt.Errorf("stop %s: %s", name, result)
	}
	return nil
}

// isNoUnit tells whether systemd knows no such unit.
func isNoUnit(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.systemd1.NoSuchUnit"
}

// await is the result of a job.
func await(ctx context.Context, done <-chan string) (string, error) {
	select {
	case result := <-done:
		return result, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (r *systemdRunner) running(ctx context.Context) ([]string, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	units, err := c.ListUnitsByPatternsContext(ctx, []string{"active", "activating", "deactivating", "reloading"}, []string{unitPrefix + "*" + serviceSuffix})
	if err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	var names []string
	for _, u := range units {
		names = append(names, strings.TrimSuffix(u.Name, serviceSuffix))
	}
	return names, nil
}

// install copies a program to where the node has it too, and returns its path there. The
// processes of an older one keep what they run.
func install(program, dir string) (path string, err error) {
	if err := makeDir(dir); err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(program))
	if path == program {
		return path, nil
	}
	from, err := os.Open(program) //nolint:gosec // orasfs
	if err != nil {
		return "", err
	}
	defer from.Close() //nolint:errcheck // it was only read
	to, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	defer func() {
		if gone := os.Remove(to.Name()); err == nil && !errors.Is(gone, iofs.ErrNotExist) {
			err = gone
		}
	}()
	_, err = to.ReadFrom(from)
	if err = errors.Join(err, to.Chmod(0o755), to.Sync(), to.Close()); err != nil {
		return "", fmt.Errorf("install %s: %w", path, err)
	}
	return path, os.Rename(to.Name(), path)
}
