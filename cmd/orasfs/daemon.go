package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// A daemon is orasfs started again in a session of its own, with an
// environment variable that says so and a pipe on which it reports: one line,
// how the mount went.
const (
	daemonVariable = "_ORASFS_DAEMON"
	reportFD       = 3
	// reportMounted is the line of success, or begins it, before a remark; any
	// other is why not.
	reportMounted = "mounted"
	maxReport     = 64 << 10 // bytes
)

// daemonGrace is what a daemon gets to end in order.
const daemonGrace = 10 * time.Second

// daemonFlags are the flags that a daemon is started with: the ones that have
// been set, by whatever means, so that it needs neither -o's names nor the
// environment. The process list shows them, but never a secret.
func daemonFlags(flags *pflag.FlagSet, options mountOptions) []string {
	var args []string
	flags.Visit(func(f *pflag.Flag) {
		list, repeated := f.Value.(pflag.SliceValue)
		switch {
		case f.Name == "options" || f.Name == "foreground" || slices.Contains(secretFlags, f.Name):
		case repeated:
			for _, value := range list.GetSlice() {
				args = append(args, "--"+f.Name+"="+value)
			}
		case f.Value.String() == f.NoOptDefVal:
			args = append(args, "--"+f.Name)
		default:
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	if given := options.daemons(); len(given) > 0 {
		args = append(args, "--options="+strings.Join(given, ","))
	}
	return args
}

// daemonArgs are the whole arguments of the daemon, without the program.
func (r *mountRequest) daemonArgs() []string {
	args := append([]string{"mount"}, r.flags...)
	return append(args, "--", r.target.text, r.mountpoint)
}

// startDaemon starts a daemon for a mount and returns once the mount answers.
// If it fails or ctx ends before, no process and no mount is left.
func (r *mountRequest) startDaemon(ctx context.Context, stderr io.Writer) error {
	path := logPath(r.cache.Dir, r.mountpoint)
	log, err := r.openDaemonLog(path, stderr)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the daemon writes it
	info, err := log.Stat()
	if err != nil {
		return fmt.Errorf("log %s: %w", path, cause(err))
	}
	if err := removeOldLogs(r.cache.Dir); err != nil && r.verbose {
		tell(stderr, fmt.Sprintf("old logs stay: %v", err))
	}
	reports, report, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer reports.Close() //nolint:errcheck // only read
	cmd, err := r.startProcess(log, report)
	if err = errors.Join(err, report.Close()); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	line, err := awaitReport(ctx, reports, r.patience())
	if remark, ok := strings.CutPrefix(line, reportMounted); err == nil && ok {
		if remark != "" {
			tell(stderr, "orasfs:"+remark)
		}
		return cmd.Process.Release()
	}
	r.endDaemon(ctx, cmd)
	switch {
	case err == nil:
		return errors.New(line)
	case errors.Is(err, io.EOF):
		return errors.Join(lastWords(stderr, log, info.Size()),
			fmt.Errorf("the daemon ended without a word (%s): see its log, %s", cmd.ProcessState, path))
	default:
		return fmt.Errorf("mount %s: %w", r.mountpoint, err)
	}
}

// openDaemonLog opens what the daemon logs to: nothing where the cache directory
// can be read alone.
func (r *mountRequest) openDaemonLog(path string, stderr io.Writer) (*os.File, error) {
	log, err := openLog(path)
	switch {
	case isReadOnly(err):
		tell(stderr, fmt.Sprintf("no log is written (%v): use -f to see one", err))
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	case err == nil && r.verbose:
		tell(stderr, "log: "+path)
	}
	return log, err
}

// startProcess starts the daemon and hands it the secrets.
func (r *mountRequest) startProcess(log, report *os.File) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Not of a context: it outlives this process.
	cmd := exec.Command(executable, r.daemonArgs()...) //nolint:gosec,noctx // ourselves
	cmd.Args[0] = "orasfs"                             // by whatever name this one was called
	cmd.Dir = "/"                                      // so that it keeps nothing busy
	cmd.Env = append(withoutOwnEnvironment(os.Environ()), daemonVariable+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{report} // reportFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	content, err := r.secrets.encode()
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = theirs
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	// A daemon that is gone already reports why, or that it doesn't.
	_, _ = ours.Write(content)
	return cmd, ours.Close()
}

// patience is how long a daemon may take to report. It needs at most two
// timeouts for each of four questions: two to the registry, and who has signed what is
// mounted and what of it; then only this machine.
// A layout may take as long as this machine needs to read it: no deadline, 0.
func (r *mountRequest) patience() time.Duration {
	if r.target.layout != "" {
		return 0
	}
	return 8*r.registry.Timeout + 30*time.Second
}

// awaitReport reads the daemon's line; io.EOF is a daemon that ended without
// one.
func awaitReport(ctx context.Context, reports *os.File, patience time.Duration) (string, error) {
	if patience > 0 {
		if err := reports.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return "", err
		}
	}
	stop := context.AfterFunc(ctx, func() {
		// It fails only on a closed pipe, which nobody reads any more.
		_ = reports.SetReadDeadline(time.Now())
	})
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(reports, maxReport)).ReadString('\n')
	switch {
	case err == nil:
		return strings.TrimSuffix(line, "\n"), nil
	case ctx.Err() != nil:
		return "", errors.New("interrupted")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", fmt.Errorf("the daemon isn't ready after %s", patience)
	default:
		return "", err
	}
}

// endDaemon ends a daemon that didn't mount, or not in time, and leaves
// nothing mounted.
func (r *mountRequest) endDaemon(ctx context.Context, cmd *exec.Cmd) {
	// Signals fail only when it has ended, and how it ended is no matter.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(daemonGrace, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	kill.Stop()

	// check has seen that no mount of orasfs was there before.
	if m, err := mountAt(r.mountpoint); err != nil || m == nil || m.FSType != fsType {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), daemonGrace)
	defer cancel()
	if err := unmount(ctx, r.mountpoint, true); err != nil {
		slog.Warn("not unmounted", "mountpoint", r.mountpoint, "error", err)
	}
}

// lastWords prints what was logged from an offset on, its end at least.
func lastWords(w io.Writer, log *os.File, from int64) error {
	info, err := log.Stat()
	if err != nil {
		return err
	}
	for line := range strings.Lines(lastLines(log, from, info.Size())) {
		tell(w, line)
	}
	return nil
}

// A reportPipe is the daemon's end of the pipe.
type reportPipe struct{ file *os.File }

// inheritedReport is where this process owes a report, nil if it isn't a
// daemon. The variable and the pipe aren't handed on.
func inheritedReport() *reportPipe {
	if os.Getenv(daemonVariable) == "" {
		return nil
	}
	_ = os.Unsetenv(daemonVariable) // fails only on names that can't be
	syscall.CloseOnExec(reportFD)
	return &reportPipe{file: os.NewFile(reportFD, "report")}
}

// mounted says that the mount answers, and what else the user should know. The pipe
// stays open for as long as the process lives: go-fuse wants descriptor 3 never to be
// a file of a mount.
func (r *reportPipe) mounted(remark string) error {
	line := reportMounted
	if remark != "" {
		line += " " + printable(remark)
	}
	_, err := r.file.WriteString(line + "\n")
	return err
}

// failed says why there is no mount. After mounted nobody listens any more.
func (r *reportPipe) failed(err error) {
	_, _ = r.file.WriteString(printable(err.Error()) + "\n")
}

// daemonLog is the standard error, bounded where it is a file.
func daemonLog(path string) (io.Writer, error) {
	info, err := os.Stderr.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return os.Stderr, err
	}
	return newBoundedLog(os.Stderr, path)
}

// serveAsDaemon serves with a log in the file that startDaemon made the
// standard error.
func (r *mountRequest) serveAsDaemon(ctx context.Context, report *reportPipe) error {
	file, err := daemonLog(logPath(r.cache.Dir, r.mountpoint))
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	log := newLogger(file, r.logFormat, r.verbose)
	if err := r.serve(ctx, log, report.mounted); err != nil {
		log.Error("ended", "target", r.target.text, "mountpoint", r.mountpoint, "error", err)
		return loggedError{err}
	}
	return nil
}
