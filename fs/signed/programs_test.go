package signed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ages is longer than any of the tests may take.
const ages = time.Hour

// programsIn makes a directory of shell scripts, by their names.
func programsIn(t testing.TB, timeout time.Duration, scripts ...string) *Programs {
	t.Helper()
	dir := t.TempDir()
	for i, script := range scripts {
		script, mode := "#!/bin/sh\n"+script+"\n", os.FileMode(0o700)
		if err := os.WriteFile(filepath.Join(dir, "v"+strconv.Itoa(i)), []byte(script), mode); err != nil {
			t.Fatal(err)
		}
	}
	p, err := OpenPrograms(dir, timeout, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPrograms has programs that allow and that don't.
func TestPrograms(t *testing.T) {
	for _, test := range []struct {
		name    string
		scripts []string
		says    string // by whom it is allowed; or why it is denied, after a !
	}{
		{"allows", []string{"echo all is well"}, "verifier v0: all is well"},
		{"allows without a word", []string{"exit 0"}, "verifier v0"},
		{"all allow", []string{"echo one", "echo two"}, "verifier v0: one; verifier v1: two"},
		{"the second denies", []string{"echo one", "echo two; exit 3"}, "!verifier v1: exit code 3: two"},
		{"denies without a word", []string{"exit 1"}, "!verifier v0: exit code 1"},
		{"crashes", []string{"kill -SEGV $$"}, "!verifier v0: it crashed: signal: segmentation fault"},
		{"isn't found", []string{"exec /nonexistent"}, "!verifier v0: exit code 127"},
		{"prints a megabyte", []string{"head -c 1048576 /dev/zero | tr '\\0' x"}, "verifier v0: " + strings.Repeat("x", maxReason) + " …"},
		{"prints lines", []string{"printf 'a\\nb\\033[0m\\n'"}, "verifier v0: a b?[0m"},
		{"complains of a lot", []string{"head -c 1048576 /dev/zero >&2; echo ok"}, "verifier v0: ok"},
		{"leaves somebody behind", []string{"sleep 1000 & echo ok"}, "verifier v0: ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			by, err := newBeside().verify(programsIn(t, ages, test.scripts...))
			why, denied := strings.CutPrefix(test.says, "!")
			switch {
			case !denied && (err != nil || by != test.says):
				t.Errorf("by %q, %v, want by %q", by, err, test.says)
			case denied && (!Denied(err) || !strings.Contains(err.Error(), why)):
				t.Errorf("by %q, %v, want denied by %s", by, err, why)
			}
		})
	}
}

// TestWhatProgramsAreTold has a program write down what it is given.
func TestWhatProgramsAreTold(t *testing.T) {
	t.Setenv("ORASFS_PASSWORD", "secret")
	t.Setenv("OTHER", "kept")
	file := filepath.Join(t.TempDir(), "told")
	p := programsIn(t, ages, fmt.Sprintf(`{ for a; do echo "$a"; done; cat; echo; env; } >%s`, file))
	if _, err := newBeside().verify(p); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file) //nolint:gosec // just made
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	want := []string{"-name", "host/app@" + manifestDigest.String(), "-digest", manifestDigest.String(), "-stdin-media-type", "application/vnd.oci.descriptor.v1+json"}
	var desc ocispec.Descriptor
	if err := json.Unmarshal([]byte(lines[len(want)]), &desc); err != nil || desc.Digest != manifestDigest || desc.Size != int64(len(manifestContent)) || desc.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("on its standard input it has %q, %v", lines[len(want)], err)
	}
	if got := strings.Join(lines[:len(want)], " "); got != strings.Join(want, " ") {
		t.Errorf("its arguments are %q, want %q", got, want)
	}
	if strings.Contains(string(content), "secret") || !strings.Contains(string(content), "OTHER=kept") {
		t.Errorf("its environment isn't ours without what is for orasfs")
	}
}

// TestHangingProgram ends one that hangs, and what it has started.
func TestHangingProgram(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	p := programsIn(t, 500*time.Millisecond, fmt.Sprintf("sleep 100000 & echo $! >%[1]s.new && mv %[1]s.new %[1]s; wait", pid))
	_, err := newBeside().verify(p)
	if !Denied(err) || !strings.Contains(err.Error(), "longer than 500ms") {
		t.Errorf("a program that hangs: %v", err)
	}
	content, err := os.ReadFile(pid) //nolint:gosec // just made
	if err != nil {
		t.Skip("it was too slow to start anything")
	}
	started, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); alive(started); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what it has started goes on")
		}
	}
}

// alive tells whether a process runs: one that has ended may wait for its parent.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestEndedQuestion has who asks go away: that is no denial, unless it took too long.
func TestEndedQuestion(t *testing.T) {
	p := programsIn(t, ages, "sleep 100000")
	s := Subject{Attached: newBeside()}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := p.Verify(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Verify(ctx, s); !Denied(err) {
		t.Errorf("it took too long: %v", err)
	}
}

// TestBusyPrograms denies where all that may run hang.
func TestBusyPrograms(t *testing.T) {
	p := programsIn(t, ages, "exit 0")
	for range atOnce {
		p.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.Verify(ctx, Subject{Attached: newBeside()}); !Denied(err) {
		t.Errorf("nobody has time for it: %v", err)
	}
}

// TestProgramsOutage runs no program where nobody could be asked.
func TestProgramsOutage(t *testing.T) {
	b := newBeside()
	b.down = true
	if _, err := b.verify(programsIn(t, ages, "exit 1")); !errors.Is(err, ErrUndecided) {
		t.Errorf("with the registry down: %v", err)
	}
}

// TestWrongDirectory finds what is wrong before anything is asked, and denies where that
// comes later.
func TestWrongDirectory(t *testing.T) {
	for name, wrong := range map[string]func(dir string) error{
		"holds no verifier": func(dir string) error { return os.Remove(filepath.Join(dir, "v0")) },
		"is no program":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "README"), nil, 0o600) },
		"is no program:":    func(dir string) error { return os.Mkdir(filepath.Join(dir, "x"), 0o700) },
		"at most 10": func(dir string) error {
			for i := range MaxPrograms {
				if err := os.WriteFile(filepath.Join(dir, "w"+strconv.Itoa(i)), nil, 0o700); err != nil { //nolint:gosec // a program
					return err
				}
			}
			return nil
		},
		"no such file":       os.RemoveAll,
		"written by anybody": func(dir string) error { return os.Chmod(filepath.Join(dir, "v0"), 0o777) }, //nolint:gosec // that is what is wrong
		"by anybody":         func(dir string) error { return os.Chmod(dir, 0o777) },                      //nolint:gosec // likewise
	} {
		p := programsIn(t, ages, "exit 0")
		if err := wrong(p.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPrograms(p.dir, ages, p.log); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, where it %s", err, name)
		}
		if _, err := newBeside().verify(p); !Denied(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("asked, where it %s: %v", name, err)
		}
	}
}

// TestProgramsIdentity changes with the programs, and not with the time.
func TestProgramsIdentity(t *testing.T) {
	p := programsIn(t, ages, "exit 0")
	identity := func() string {
		id, err := p.Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := identity()
	file := filepath.Join(p.dir, "v0")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if identity() != first {
		t.Error("a touch has changed it")
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	if identity() == first {
		t.Error("another program has the same")
	}
}

// TestAll wants each kind to allow.
func TestAll(t *testing.T) {
	yes, no := programsIn(t, ages, "echo yes"), programsIn(t, ages, "exit 1")
	if by, err := newBeside().verify(All{yes, yes}); err != nil || by != "verifier v0: yes; verifier v0: yes" {
		t.Errorf("by %q, %v", by, err)
	}
	if _, err := newBeside().verify(All{yes, no}); !Denied(err) {
		t.Errorf("where one denies: %v", err)
	}
	a, errA := All{yes, no}.Identity()
	b, errB := All{yes, yes}.Identity()
	if a == b || errA != nil || errB != nil {
		t.Errorf("%q (%v) and %q (%v) are the same", a, errA, b, errB)
	}
}
