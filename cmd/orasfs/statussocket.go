package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// In the runtime directory a mount has two files, with a name made of its mountpoint: a
// socket on which its daemon answers, and beside it a note whose mount that is, which
// the daemon holds locked for as long as it lives. So whoever finds them knows whether
// there is a daemon, whatever became of it, and no daemon takes another's socket.
const (
	socketSuffix = ".sock"
	noteSuffix   = ".lock"
	maxNote      = 64 << 10 // bytes
)

// A mountNote is whose mount it is.
type mountNote struct {
	Target     string    `json:"target"`
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Since      time.Time `json:"since"`
}

// runtimeName is what the files of a mountpoint are called, without their suffixes. It
// is short: a socket's path has at most 104 bytes on some systems.
func runtimeName(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return hex.EncodeToString(sum[:8])
}

// errTaken is that somebody else has the socket: a living daemon, or for a moment
// whoever looks whether there is one.
var errTaken = errors.New("another daemon has it")

// A statusSocket is a mount's files, while its daemon has them.
type statusSocket struct {
	net.Listener
	base string   // path of the files, without their suffixes
	note *os.File // locked
}

// listenForStatus makes the socket of a mount, with mode 0600. What a daemon has left
// that is dead is replaced.
func listenForStatus(ctx context.Context, m mountNote) (*statusSocket, error) {
	dir, err := makeRuntimeDir()
	if err != nil {
		return nil, err
	}
	s := &statusSocket{base: filepath.Join(dir, runtimeName(m.Mountpoint))}
	if s.note, err = lockNote(s.base, os.O_CREATE); err != nil {
		return nil, fmt.Errorf("socket of %s: %w", m.Mountpoint, err)
	}
	if err := s.open(ctx, m); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open writes the note and makes the socket.
func (s *statusSocket) open(ctx context.Context, m mountNote) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := s.note.Truncate(0); err != nil {
		return err
	}
	if _, err := s.note.WriteAt(content, 0); err != nil {
		return err
	}
	path := s.base + socketSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:errorlint // an assertion that can't fail; Close removes it under the lock
	s.Listener = listener
	return os.Chmod(path, 0o600) // the directory keeps others out before
}

// Close removes the files.
func (s *statusSocket) Close() error {
	var err error
	if s.Listener != nil {
		if err = s.Listener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	return errors.Join(err, removeNote(s.base, s.note))
}

// removeNote removes a mount's files, whose note is locked, and lets go of the lock.
func removeNote(base string, note *os.File) error {
	err := os.Remove(base + socketSuffix)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(base+noteSuffix), note.Close())
}

// lockNote opens a mount's note and locks it: errTaken is that somebody else has.
func lockNote(base string, create int) (*os.File, error) {
	for {
		note, err := openNote(base, create)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(note.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a file descriptor is small
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errTaken
		}
		if err != nil {
			return nil, errors.Join(err, note.Close())
		}
		// Whoever had it before may have removed it.
		ours, err := note.Stat()
		if err != nil {
			return nil, errors.Join(err, note.Close())
		}
		if there, err := os.Lstat(base + noteSuffix); err == nil && os.SameFile(ours, there) {
			return note, nil
		}
		if err := note.Close(); err != nil {
			return nil, err
		}
	}
}

func openNote(base string, create int) (*os.File, error) {
	return os.OpenFile(base+noteSuffix, os.O_RDWR|create|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
}

// A foundNote is a note in a runtime directory.
type foundNote struct {
	mountNote
	base string
}

// findNotes are the notes in all runtime directories. Directories that others can use
// are left out, and the error says so.
func findNotes() ([]foundNote, error) {
	var notes []foundNote
	var refused []error
	for _, dir := range allRuntimeDirs() {
		if err := checkRuntimeDir(dir); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				refused = append(refused, fmt.Errorf("%w: no daemon is looked for there", err))
			}
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			refused = append(refused, err)
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), noteSuffix); ok && e.Type().IsRegular() {
				if note, err := readNote(filepath.Join(dir, name)); err == nil {
					notes = append(notes, note)
				}
			}
		}
	}
	return notes, errors.Join(refused...)
}

// readNote reads a note: one that is just being written, or of another mountpoint than
// its name says, is an error.
func readNote(base string) (foundNote, error) {
	f, err := openNote(base, 0)
	if err != nil {
		return foundNote{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	note := foundNote{base: base}
	if err := json.NewDecoder(io.LimitReader(f, maxNote)).Decode(&note.mountNote); err != nil {
		return note, err
	}
	if runtimeName(note.Mountpoint) != filepath.Base(base) {
		return note, fmt.Errorf("%s is the note of another mountpoint", base)
	}
	return note, nil
}

// alive tells whether the daemon that wrote the note lives.
func (n *foundNote) alive() bool {
	f, err := openNote(n.base, 0)
	if err != nil {
		return false
	}
	defer f.Close()                                          //nolint:errcheck // it was only looked at
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) //nolint:gosec // a file descriptor is small
	return errors.Is(err, unix.EWOULDBLOCK)
}

// removeLeftovers removes what daemons of a mountpoint have left that are dead, and
// tells whether there was anything.
func removeLeftovers(mountpoint string) (bool, error) {
	removed := false
	for _, dir := range allRuntimeDirs() {
		base := filepath.Join(dir, runtimeName(mountpoint))
		if checkRuntimeDir(dir) != nil {
			continue
		}
		note, err := lockNote(base, 0)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, errTaken) {
			continue
		}
		if err == nil {
			err = removeNote(base, note)
		}
		if err != nil {
			return removed, fmt.Errorf("remove what a dead daemon has left: %w", err)
		}
		removed = true
	}
	return removed, nil
}
