package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// runtimeIn makes a directory what the system gives a user for its sockets.
func runtimeIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "run") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("XDG_RUNTIME_DIR", dir)
	before := machineRoot
	machineRoot = dir // nobody else's mounts are seen
	t.Cleanup(func() { machineRoot = before })
	return filepath.Join(dir, "orasfs")
}

func noteOf(mountpoint string) mountNote {
	return mountNote{Target: "registry.example", Mountpoint: mountpoint, PID: os.Getpid(), Version: "v1", Since: time.Now()}
}

func wantNoFiles(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left is %v, %v", left, err)
	}
}

// A daemon's socket is its own while it lives, whoever comes, and gone when it is closed.
func TestSocketIsNotTaken(t *testing.T) {
	dir := runtimeIn(t)
	s, err := listenForStatus(t.Context(), noteOf("/mnt/a"))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := listenForStatus(t.Context(), noteOf("/mnt/a")); !errors.Is(err, errTaken) {
		t.Errorf("a second daemon has it too: %v, %v", other, err)
	}
	conn, err := net.Dial("unix", s.base+socketSuffix) //nolint:noctx // it is there
	if err != nil {
		t.Fatalf("the first one's socket: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	beside, err := listenForStatus(t.Context(), noteOf("/mnt/b"))
	if err != nil {
		t.Fatal(err)
	}
	notes, err := findNotes()
	if err != nil || len(notes) != 2 {
		t.Fatalf("notes %v, %v", notes, err)
	}
	for _, n := range notes {
		if !n.alive() {
			t.Errorf("%s is dead", n.Mountpoint)
		}
	}
	if removed, err := removeLeftovers("/mnt/a"); removed || err != nil {
		t.Errorf("a living daemon's files are removed: %v, %v", removed, err)
	}
	if err := errors.Join(s.Close(), beside.Close()); err != nil {
		t.Fatal(err)
	}
	wantNoFiles(t, dir)
}

// What a dead daemon has left is replaced by the next, and can be removed.
func TestLeftovers(t *testing.T) {
	dir := runtimeIn(t)
	die := func() {
		t.Helper()
		s, err := listenForStatus(t.Context(), noteOf("/mnt/a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Listener.Close(), s.note.Close()); err != nil { // as the kernel does
			t.Fatal(err)
		}
	}
	die()
	notes, err := findNotes()
	if err != nil || len(notes) != 1 || notes[0].alive() || notes[0].Target != "registry.example" {
		t.Fatalf("notes %+v, %v", notes, err)
	}
	die() // it takes the place of the one before
	if removed, err := removeLeftovers("/mnt/b"); removed || err != nil {
		t.Errorf("another mount's: %v, %v", removed, err)
	}
	if removed, err := removeLeftovers("/mnt/a"); !removed || err != nil {
		t.Errorf("%v, %v", removed, err)
	}
	wantNoFiles(t, dir)
}

// A directory that others may use, or that is none, is neither used nor looked at.
func TestRuntimeDirIsOwn(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"others may use":  func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o750)) },
		"a symbolic link": func(dir string) error { return os.Symlink(t.TempDir(), dir) },
		"a file":          func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := runtimeIn(t)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if err := checkRuntimeDir(dir); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("it is refused with %v", err)
			}
			if made, err := makeRuntimeDir(); made == dir {
				t.Errorf("it is used: %v", err)
			}
			if _, err := findNotes(); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("it is looked at: %v", err)
			}
		})
	}
}

// Without a directory that the system gives there are others, of this user alone.
func TestRuntimeDirs(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	t.Setenv("TMPDIR", "/somewhere")
	dirs := runtimeDirs()
	if got, want := dirs[len(dirs)-1], "/somewhere/orasfs-"+strconv.Itoa(os.Geteuid()); got != want {
		t.Errorf("the last is %s, not %s", got, want)
	}
	if root := os.Geteuid() == 0; root != (dirs[0] == "/run/orasfs") {
		t.Errorf("root is %v, the first %s", root, dirs[0])
	}
}

// A note that is damaged, or lies about its mountpoint, is no mount.
func TestDamagedNotes(t *testing.T) {
	dir := runtimeIn(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		runtimeName("/mnt/a"): "{",
		runtimeName("/mnt/b"): `{"mountpoint":"/mnt/c"}`,
		"x":                   `{"mountpoint":"/mnt/d"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name+noteSuffix), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if notes, err := findNotes(); err != nil || len(notes) > 0 {
		t.Errorf("notes %+v, %v", notes, err)
	}
	s, err := listenForStatus(t.Context(), noteOf("/mnt/a")) // over the damaged one
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
