package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// fakeDaemonVariable makes the test binary, started as a daemon, behave as it
// says.
const fakeDaemonVariable = "TEST_FAKE_DAEMON"

// fakeDaemonLife bounds the life of a fake daemon that a failing test leaves.
const fakeDaemonLife = time.Minute

// A daemonRecord is what a fake daemon found itself in.
type daemonRecord struct {
	PID, Session int
	Args         []string
	Environment  []string
	Directory    string
	Stdin        string
}

// fakeDaemon is the daemon's side of the pipe. It leaves a record where it is
// told to.
func fakeDaemon(behaviour string) int {
	if err := recordDaemon(os.Getenv("TEST_RECORD")); err != nil {
		inheritedReport().failed(err)
		return exitFailure
	}
	report := inheritedReport()
	switch behaviour {
	case "mounts":
		if report.mounted("") != nil {
			return exitFailure
		}
		time.Sleep(fakeDaemonLife) // it is killed before
	case "fails":
		report.failed(errTwoLines{})
	case "crashes beside a helper":
		helper := exec.Command("sleep", strconv.Itoa(int(fakeDaemonLife/time.Second)))
		if err := helper.Start(); err != nil {
			report.failed(err)
			return exitFailure
		}
		if err := os.WriteFile(os.Getenv("TEST_RECORD")+".helper", []byte(strconv.Itoa(helper.Process.Pid)), 0o600); err != nil {
			report.failed(err)
			return exitFailure
		}
		panic("a bug")
	case "crashes":
		panic("a bug")
	case "hangs":
		time.Sleep(fakeDaemonLife)
	}
	return exitFailure
}

type errTwoLines struct{}

func (errTwoLines) Error() string { return "no mount,\nbecause" }

func recordDaemon(path string) error {
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return err
	}
	record, err := json.Marshal(daemonRecord{
		PID: os.Getpid(), Session: session, Args: os.Args[1:], Environment: os.Environ(), Directory: dir, Stdin: string(stdin),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", record, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// startFake makes a daemon of the test binary. The record is nil if it left
// none.
func startFake(ctx context.Context, t *testing.T, behaviour string, r *mountRequest) (*daemonRecord, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record")
	t.Setenv(fakeDaemonVariable, behaviour)
	t.Setenv("TEST_RECORD", path)
	var stderr bytes.Buffer
	err := r.startDaemon(ctx, &stderr)
	return readRecord(t, path), stderr.String(), err
}

func readRecord(t *testing.T, path string) *daemonRecord {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var record daemonRecord
	if err := json.Unmarshal(content, &record); err != nil {
		t.Fatal(err)
	}
	return &record
}

// daemonRequest is a request that is ready for startDaemon.
func daemonRequest(t *testing.T, stdin string, args ...string) *mountRequest {
	t.Helper()
	dir := realDir(t)
	r := mustRequest(t, stdin, append(args, "--cache-dir="+filepath.Join(dir, "cache"), "localhost:5000/hello", mkdir(t, dir, "mnt"))...)
	if err := checkCacheDir(r.cache.Dir, r.mountpoint); err != nil {
		t.Fatal(err)
	}
	return r
}

func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestDaemonMounts(t *testing.T) {
	withoutSettings(t)
	const secret = "correct horse battery staple"
	t.Setenv("ORASFS_PASSWORD", secret)
	t.Setenv("ORASFS_TAG_TTL", "5m")
	t.Setenv("ORASFS_HEADER", "X-Key: correct too")
	r := daemonRequest(t, "", "-v", "-u", "me", "-o", "noexec,allow_other,max-stale=1h")
	record, stderr, err := startFake(t.Context(), t, "mounts", r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process, err := os.FindProcess(record.PID)
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
		_, _ = process.Wait()
	})
	if !isAlive(record.PID) {
		t.Error("the daemon is gone")
	}
	if record.Session != record.PID || record.Directory != "/" {
		t.Errorf("the daemon, process %d, is in session %d and directory %s", record.PID, record.Session, record.Directory)
	}
	if given, err := readSecrets(strings.NewReader(record.Stdin)); err != nil || string(given.Password) != secret || !slices.Equal(given.headers(), []string{"X-Key: correct too"}) {
		t.Errorf("the daemon's standard input holds %q (%v)", record.Stdin, err)
	}
	for _, s := range append(record.Args, record.Environment...) {
		if strings.Contains(s, "correct") {
			t.Errorf("the password is in %q", s)
		}
		if strings.HasPrefix(s, environmentPrefix) && !strings.HasSuffix(s, "=") {
			t.Errorf("%s is in the daemon's environment", s)
		}
	}
	if !strings.Contains(stderr, logPath(r.cache.Dir, r.mountpoint)) {
		t.Errorf("-v doesn't say where the log is: %q", stderr)
	}
	want := []string{
		"mount", "--cache-dir=" + r.cache.Dir, "--max-stale=1h0m0s", "--options=allow_other,noexec",
		"--tag-ttl=5m0s", "--username=me", "--verbose", "--", "localhost:5000/hello", r.mountpoint,
	}
	got := slices.Clone(record.Args)
	slices.Sort(got[1:7])
	slices.Sort(want[1:7])
	if !slices.Equal(got, want) {
		t.Errorf("the daemon's arguments are %q, expected %q", got, want)
	}
}

// What the daemon is started with asks for the same mount.
func TestDaemonArgs(t *testing.T) {
	withoutSettings(t)
	t.Setenv("ORASFS_PASSWORD", "s3cret")
	t.Setenv("ORASFS_MEMORY", "64m")
	t.Chdir(realDir(t))
	r := mustRequest(t, "", "-u", "me", "--plain-http=false", "--insecure=false", "--ca-file=ca.pem", "--registry-config=r.json",
		"--registry-config=[a,b]", "--header=A: 1", "-H", "B: caf\xe9, \"x\"", "--resolve=localhost:5000:127.0.0.1:1", "--cert-file=c", "--key-file=k",
		"--cache-size=1000001", "--verify=full", "--log-format=json", "--concurrency=3", "-f", "-v",
		"-o", "ro,noexec,default_permissions,uid=7,gid=0,timeout=7s", "-o", "allow_other,nofail", "localhost:5000/a/b", "/mnt")
	withoutSettings(t)
	t.Chdir("/")
	again := daemonsRequest(t, r)
	if !reflect.DeepEqual(again.uid, new(uint32(7))) || !reflect.DeepEqual(again.gid, new(uint32(0))) {
		t.Errorf("the owners became %v and %v", again.uid, again.gid)
	}
	if again.allowOther != r.allowOther || !slices.Equal(again.kernelOptions, r.kernelOptions) {
		t.Errorf("mount options %t %q became %t %q", r.allowOther, r.kernelOptions, again.allowOther, again.kernelOptions)
	}
	if !reflect.DeepEqual(again.registry, r.registry) || !reflect.DeepEqual(again.secrets, r.secrets) || again.cache != r.cache || again.target != r.target || again.mountpoint != r.mountpoint ||
		again.tagTTL != r.tagTTL || again.maxStale != r.maxStale || again.verbose != r.verbose || again.logFormat != r.logFormat {
		t.Errorf("%q became\n%+v, was\n%+v", r.daemonArgs(), again, r)
	}
}

// daemonsRequest is what a daemon makes of what it is started with.
func daemonsRequest(t *testing.T, r *mountRequest) *mountRequest {
	t.Helper()
	content, err := r.secrets.encode()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetIn(bytes.NewReader(content))
	var flags mountFlags
	flags.register(cmd.Flags())
	if err := cmd.Flags().Parse(r.daemonArgs()[1:]); err != nil {
		t.Fatal(err)
	}
	again, err := flags.request(cmd, cmd.Flags().Args(), false, readSecrets)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// What the process list must not show isn't among the daemon's arguments, and fits
// into the pipe that it goes through.
func TestDaemonArgsWithSecrets(t *testing.T) {
	withoutSettings(t)
	for _, flag := range []string{"--password-stdin", "--identity-token-stdin"} {
		r := mustRequest(t, "s3cret", flag, "--header=A: s3cret", "localhost:5000", "/mnt")
		if got, want := r.daemonArgs(), []string{"mount", "--", "localhost:5000", "/mnt"}; !slices.Equal(got, want) {
			t.Errorf("the daemon's arguments are %q, expected %q", got, want)
		}
	}
	most := secrets{Password: bytes.Repeat([]byte{0xff}, maxSecrets-2*maxHeaders)}
	for range maxHeaders {
		most.Headers = append(most.Headers, []byte("a:"))
	}
	if content, err := most.encode(); err != nil || len(content) > 64<<10 {
		t.Errorf("the most that there can be has %d bytes (%v)", len(content), err)
	}
}

func TestDaemonFails(t *testing.T) {
	withoutSettings(t)
	record, _, err := startFake(t.Context(), t, "fails", daemonRequest(t, ""))
	wantError(t, err, "no mount, because")
	if isAlive(record.PID) {
		t.Error("the daemon is still there")
	}
}

func TestDaemonCrashes(t *testing.T) {
	withoutSettings(t)
	r := daemonRequest(t, "")
	path := logPath(r.cache.Dir, r.mountpoint)
	mkdir(t, filepath.Dir(path))
	writeFile(t, path, "of another day\n")
	record, stderr, err := startFake(t.Context(), t, "crashes", r)
	wantError(t, err, "without a word", "exit status 2", path)
	if !strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "of another day") {
		t.Errorf("the end of the log isn't shown: %q", stderr)
	}
	if !strings.HasPrefix(readFile(t, path), "of another day\npanic: a bug") {
		t.Errorf("the log holds %q", readFile(t, path))
	}
	if isAlive(record.PID) {
		t.Error("the daemon is still there")
	}
}

// What the daemon has started, a credential helper for one, doesn't have its end of
// the pipe: the mount command sees that the daemon is gone, and not when the helper
// is.
func TestDaemonCrashesBesideHelper(t *testing.T) {
	withoutSettings(t)
	_, _, err := startFake(t.Context(), t, "crashes beside a helper", daemonRequest(t, "", "--timeout=1s"))
	wantError(t, err, "without a word") // and not that it isn't ready, after the half minute that it may take
	helper, err := strconv.Atoi(readFile(t, os.Getenv("TEST_RECORD")+".helper"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(helper, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// An interrupted mount command leaves no daemon behind.
func TestDaemonInterrupted(t *testing.T) {
	withoutSettings(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	path := filepath.Join(t.TempDir(), "record")
	t.Setenv(fakeDaemonVariable, "hangs")
	t.Setenv("TEST_RECORD", path)
	result := make(chan error, 1)
	r := daemonRequest(t, "")
	go func() { result <- r.startDaemon(ctx, io.Discard) }()
	for {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-result:
		t.Fatalf("mount doesn't wait for the daemon: %v", err)
	default:
	}
	interrupt()
	wantError(t, <-result, r.mountpoint, "interrupted")
	if record := readRecord(t, path); isAlive(record.PID) {
		t.Error("the daemon is still there")
	}
}

func TestAwaitReport(t *testing.T) {
	pipe := func() (reports, report *os.File) {
		reports, report, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = reports.Close(), report.Close() })
		return reports, report
	}
	reports, _ := pipe()
	_, err := awaitReport(t.Context(), reports, time.Millisecond)
	wantError(t, err, "isn't ready after 1ms")

	reports, report := pipe()
	if _, err := report.WriteString(strings.Repeat("x", maxReport)); err == nil {
		_ = report.Close()
	}
	if line, err := awaitReport(t.Context(), reports, time.Minute); !errors.Is(err, io.EOF) {
		t.Errorf("a line without an end: %d bytes, %v", len(line), err)
	}
}

func TestWithoutOwnEnvironment(t *testing.T) {
	got := withoutOwnEnvironment([]string{"HOME=/root", "ORASFS_PASSWORD=x", "PATH=/bin", "ORASFS_TAG_TTL=5m", "XORASFS_A=1"})
	if want := []string{"HOME=/root", "PATH=/bin", "XORASFS_A=1"}; !slices.Equal(got, want) {
		t.Errorf("%q is left, expected %q", got, want)
	}
}
