package mount

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"testing/fstest"
)

// taskVariable makes this test binary, started again, do one of the tasks
// below instead of the tests: what Go code does with a mount it does in a
// process of its own.
const taskVariable = "ORASTEST_TASK"

// errNone stands for no error where one was expected.
var errNone = errors.New("no error")

var tasks = map[string]func(args []string) error{
	"testfs":   testFS,
	"parts":    readParts,
	"seek":     seekDirectory,
	"readdir":  readDirectory,
	"writable": tryWriting,
}

// perform does a task and gives the exit code.
func perform(task string, args []string) int {
	do, ok := tasks[task]
	if !ok {
		fmt.Fprintf(os.Stderr, "no task %q\n", task)
		return 2
	}
	if err := do(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// taskCommand is the command that does a task.
func taskCommand(t testing.TB, task string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = environment(taskVariable + "=" + task)
	return cmd
}

// inChild does a task in a child process, fails the test if the task fails, and
// gives what it printed.
func inChild(t testing.TB, task string, args ...string) string {
	t.Helper()
	r := finish(t, taskCommand(t, task, args...))
	if r.code != 0 {
		t.Errorf("%s %q: exit code %d\n%s%s", task, args, r.code, clip(r.stdout), clip(r.stderr))
	}
	return r.stdout
}

// testFS takes a directory and names that must be in it and runs the standard
// library's test of file systems.
func testFS(args []string) error {
	return fstest.TestFS(os.DirFS(args[0]), args[1:]...)
}

// readDirectory prints the names of a directory.
func readDirectory(args []string) error {
	entries, err := os.ReadDir(args[0])
	if err != nil {
		return err
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	return nil
}

// readParts reads parts of a file, OFFSET:LENGTH each; an offset below 0 is counted
// from the end. The part wait waits for the end of the standard input.
func readParts(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for _, part := range args[1:] {
		if part == "wait" {
			fmt.Println("waits")
			if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
				return err
			}
			continue
		}
		var offset, length int64
		if _, err := fmt.Sscanf(part, "%d:%d", &offset, &length); err != nil {
			return fmt.Errorf("part %q: %w", part, err)
		}
		if offset < 0 {
			offset += info.Size()
		}
		if _, err := io.CopyN(io.Discard, io.NewSectionReader(f, offset, length), length); err != nil {
			return fmt.Errorf("part %s: %w", part, err)
		}
	}
	return nil
}

// seekDirectory reads a directory to its end, remembering where each part
// began, and then goes back to some of them, to the last first, and to the
// beginning.
func seekDirectory(args []string) error {
	fd, err := syscall.Open(args[0], syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd) //nolint:errcheck // read only
	var offsets []int64
	var parts [][]string
	for {
		offset, err := syscall.Seek(fd, 0, 1)
		if err != nil {
			return fmt.Errorf("telldir: %w", err)
		}
		names, err := someNames(fd)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		offsets, parts = append(offsets, offset), append(parts, names)
	}
	if len(parts) < 3 {
		return fmt.Errorf("a directory of only %d parts doesn't test seeking", len(parts))
	}
	for i := len(parts) - 1; i >= 0; i -= (len(parts) + 5) / 6 {
		if _, err := syscall.Seek(fd, offsets[i], 0); err != nil {
			return fmt.Errorf("seekdir to %d: %w", offsets[i], err)
		}
		names, err := someNames(fd)
		if err != nil {
			return err
		}
		// How many come at once is the kernel's choice.
		n := min(len(names), len(parts[i]))
		if n == 0 || !slices.Equal(names[:n], parts[i][:n]) {
			return fmt.Errorf("part %d of %d, again: %q, not %q", i, len(parts), names, parts[i])
		}
	}
	if _, err := syscall.Seek(fd, 0, 0); err != nil {
		return fmt.Errorf("rewinddir: %w", err)
	}
	var again []string
	for {
		names, err := someNames(fd)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		again = append(again, names...)
	}
	if before := slices.Concat(parts...); !slices.Equal(again, before) {
		return fmt.Errorf("after rewinddir %d names, before %d, or others", len(again), len(before))
	}
	return nil
}

// someNames reads the next few names of a directory.
func someNames(fd int) ([]string, error) {
	buffer := make([]byte, 4096)
	n, err := syscall.ReadDirent(fd, buffer)
	for err == syscall.EINTR { //nolint:errorlint // a system call's own; Go's runtime sends itself signals
		n, err = syscall.ReadDirent(fd, buffer)
	}
	if err != nil {
		return nil, fmt.Errorf("getdents: %w", err)
	}
	_, _, names := syscall.ParseDirent(buffer[:n], -1, nil)
	return names, nil
}

// tryWriting takes a directory, a file in it and a link in it, and does to them
// all that a read-only file system has to refuse. The new name is one that no
// repository can have: what may be one is there (EEXIST).
func tryWriting(args []string) error {
	dir, file, link := args[0], args[1], args[2]
	var failed []error
	refused := func(what string, err error) {
		if !errors.Is(err, syscall.EROFS) {
			failed = append(failed, fmt.Errorf("%s: not EROFS: %w", what, cmp.Or(err, errNone)))
		}
	}
	for _, flag := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND} {
		f, err := os.OpenFile(file, flag, 0)
		if err == nil {
			failed = append(failed, f.Close())
		}
		refused(fmt.Sprintf("open with flags %#x", flag), err)
	}
	f, err := os.Create(dir + "/New")
	if err == nil {
		failed = append(failed, f.Close())
	}
	refused("create", err)
	refused("mkdir", os.Mkdir(dir+"/New", 0o755))
	refused("symlink", os.Symlink("x", dir+"/New"))
	refused("link", os.Link(file, dir+"/New"))
	refused("mknod", syscall.Mknod(dir+"/New", syscall.S_IFIFO|0o644, 0))
	refused("unlink", syscall.Unlink(file))
	refused("unlink a link", syscall.Unlink(link))
	refused("rmdir", syscall.Rmdir(dir))
	refused("rename", os.Rename(file, dir+"/New"))
	refused("truncate", os.Truncate(file, 0))
	refused("chmod", os.Chmod(file, 0o777))
	refused("chown", os.Chown(file, 1, 1))
	refused("utimes", syscall.Utimes(file, make([]syscall.Timeval, 2)))
	refused("setxattr", syscall.Setxattr(file, "user.new", []byte("x"), 0))
	refused("removexattr", syscall.Removexattr(file, "user.oci.digest"))
	return errors.Join(failed...)
}
