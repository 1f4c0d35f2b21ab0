package mount

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A mount is a mounted registry: the daemon, its cache and its log.
type mount struct {
	binary string
	target string
	flags  []string
	stdin  string   // of the mount command
	env    []string // of it and the daemon, besides what all commands have
	user   *user    // who mounts; nil is who runs the tests
	dir    string   // the mountpoint
	cache  string
	mark   string // in the environment of the daemon, by which it is found
	races  string // what the files begin with in which it reports data races
}

// mounts counts the mounts of this process.
var mounts atomic.Int64

// prepare makes a mountpoint and a cache directory and doesn't mount yet. At
// the end of the test nothing may be left, whatever happened.
func prepare(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	id := fmt.Sprintf("%d-%d", os.Getpid(), mounts.Add(1))
	m := &mount{
		binary: orasfs,
		target: target,
		flags:  flags,
		dir:    filepath.Join(t.TempDir(), "mnt"),
		cache:  filepath.Join(t.TempDir(), "cache"),
		mark:   "ORASTEST_MARK=" + id,
		races:  filepath.Join(filepath.Dir(orasfs), "race-"+id), // TempDir's name may hold a comma, which ends an option
	}
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.end(t) })
	return m
}

// mountRegistry mounts a target as a user does, and gives the mount once it
// works.
func mountRegistry(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	m := prepare(t, target, flags...)
	m.mount(t)
	return m
}

// command is the mount command.
func (m *mount) command(more ...string) *exec.Cmd {
	args := append([]string{"mount", "--cache-dir", m.cache}, m.flags...)
	args = append(append(args, more...), m.target, m.dir)
	cmd := exec.Command(m.binary, args...)
	cmd.Env = m.environment()
	cmd.Stdin = strings.NewReader(m.stdin)
	m.user.runs(cmd)
	return cmd
}

// umountCommand ends the mount.
func (m *mount) umountCommand() *exec.Cmd {
	cmd := exec.Command(m.binary, "umount", m.dir)
	cmd.Env = environment()
	m.user.runs(cmd)
	return cmd
}

func (m *mount) environment() []string {
	return environment(append([]string{m.mark, "GORACE=atexit_sleep_ms=0 log_path=" + m.races}, m.env...)...)
}

// mount mounts in the background.
func (m *mount) mount(t testing.TB) {
	t.Helper()
	if r := finish(t, m.command()); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	if !mounted(t, m.dir) {
		t.Fatalf("mount returned 0, but there is no mount at %s", m.dir)
	}
}

// unmount unmounts and waits until the daemon has gone.
func (m *mount) unmount(t testing.TB) {
	t.Helper()
	if r := finish(t, m.umountCommand()); r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
	m.gone(t)
}

// restart unmounts, mounts again with the same cache.
func (m *mount) restart(t testing.TB) {
	t.Helper()
	m.unmount(t)
	m.mount(t)
}

// gone waits until no mount and no daemon is left.
func (m *mount) gone(t testing.TB) {
	t.Helper()
	eventually(t, "the mount at "+m.dir+" is gone", func() bool { return !mounted(t, m.dir) })
	eventually(t, "the daemon of "+m.dir+" has ended", func() bool { return len(m.daemons(t)) == 0 })
}

// end leaves nothing, lazily and by force if need be, and tells what it found.
func (m *mount) end(t testing.TB) {
	t.Helper()
	if mounted(t, m.dir) {
		if r := finish(t, m.umountCommand()); r.code != 0 {
			t.Errorf("at the end of the test: %s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
			try(t, "fusermount3", "-u", "-z", m.dir)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) && len(m.daemons(t)) > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	for _, pid := range m.daemons(t) {
		t.Errorf("daemon %d goes on after unmount", pid)
		_ = syscall.Kill(pid, syscall.SIGQUIT) // its stacks, into the log
		time.Sleep(time.Second)
		_ = syscall.Kill(pid, syscall.SIGKILL) // SIGQUIT may have been enough
	}
	if mounted(t, m.dir) {
		t.Errorf("%s is still mounted", m.dir)
		try(t, "umount", "-l", m.dir)
	}
	m.checkLog(t)
}

// checkLog fails the test if the daemon panicked or raced.
func (m *mount) checkLog(t testing.TB) {
	t.Helper()
	log := m.log(t)
	for _, bad := range []string{"panic", "DATA RACE", "fatal error:"} {
		if strings.Contains(log, bad) {
			t.Errorf("the daemon's log holds %q", bad)
		}
	}
	races, err := filepath.Glob(m.races + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range races {
		report, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("the daemon reports a data race:\n%s", clip(string(report)))
	}
	if t.Failed() {
		const most = 8000
		t.Logf("the daemon's log, its end:\n%s", log[max(0, len(log)-most):])
	}
}

// log is what the daemon has logged so far.
func (m *mount) log(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.cache, "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

// logs waits until one line of the log holds all of the words.
func (m *mount) logs(t testing.TB, words ...string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		for line := range strings.Lines(m.log(t)) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Errorf("no line of the daemon's log holds %q", words)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// daemons lists the processes of this mount: those that hold its mark.
func (m *mount) daemons(t testing.TB) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended, or is another user's
		}
		if slices.Contains(strings.Split(string(env), "\x00"), m.mark) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// daemon is the one process of the mount.
func (m *mount) daemon(t testing.TB) int {
	t.Helper()
	pids := m.daemons(t)
	if len(pids) != 1 {
		t.Fatalf("%d processes serve %s, not 1", len(pids), m.dir)
	}
	return pids[0]
}

// peak is the most memory that the daemon ever had, in bytes.
func (m *mount) peak(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.daemon(t)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in %s", status)
	return 0
}

// path is a path in the mount.
func (m *mount) path(elements ...string) string {
	return m.dir + "/" + strings.Join(elements, "/")
}

// cat is the content of a file in the mount.
func (m *mount) cat(t testing.TB, elements ...string) string {
	t.Helper()
	return output(t, "cat", m.path(elements...))
}

// ls lists a directory of the mount, everything in it.
func (m *mount) ls(t testing.TB, elements ...string) []string {
	t.Helper()
	return strings.Fields(output(t, "ls", "-A", m.path(elements...)))
}

// readlink is what a link of the mount holds.
func (m *mount) readlink(t testing.TB, elements ...string) string {
	t.Helper()
	return strings.TrimSuffix(output(t, "readlink", m.path(elements...)), "\n")
}

// stat is what stat prints of a name in the mount; links aren't followed.
func (m *mount) stat(t testing.TB, format string, elements ...string) string {
	t.Helper()
	return strings.TrimSuffix(output(t, "stat", "-c", format, m.path(elements...)), "\n")
}

// mounted tells whether something of type fuse.orasfs is mounted there.
func mounted(t testing.TB, dir string) bool {
	t.Helper()
	return len(sources(t, dir)) > 0
}

// mountedAs fails the test unless there is one mount, and that is what the system
// calls it by.
func (m *mount) mountedAs(t testing.TB, want string) {
	t.Helper()
	if got := sources(t, m.dir); !slices.Equal(got, []string{want}) {
		t.Errorf("it is mounted as %q, not as %s", got, want)
	}
}

// sources is what all that is mounted there calls itself, if it is of type
// fuse.orasfs. Links are followed on the way there alone: what is there may be a
// mount.
func sources(t testing.TB, dir string) []string {
	t.Helper()
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[1] == filepath.Join(parent, filepath.Base(dir)) && fields[2] == "fuse.orasfs" {
			found = append(found, fields[0])
		}
	}
	return found
}
