package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// maxLog bounds the log of one mountpoint in bytes: the file that is written
// and the one before it have half of it each.
const maxLog = 10 << 20

// logDir is the directory of the logs in the cache directory.
const logDir = "log"

// newLogger writes text or JSON, and debug lines too if verbose. It becomes
// the process's default, so that what a library logs lands there.
func newLogger(w io.Writer, format string, verbose bool) *slog.Logger {
	options := &slog.HandlerOptions{}
	if verbose {
		options.Level = slog.LevelDebug
	}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		handler = slog.NewJSONHandler(quotedJSON{w}, options)
	}
	logger := slog.New(handler)
	slog.SetDefault(logger)
	return logger
}

// logNames makes a path a name. No two paths have the same: dashes are the slashes,
// and what could be taken for one is escaped as in URLs.
var logNames = strings.NewReplacer("/", "-", "-", "%2D", "%", "%25")

// logPath is where the daemon of a mountpoint logs: mnt-oci.log for /mnt/oci.
func logPath(cacheDir, mountpoint string) string {
	const longest = 200 // a name has at most 255 bytes
	name := logNames.Replace(strings.Trim(mountpoint, "/"))
	if len(name) > longest {
		sum := sha256.Sum256([]byte(mountpoint))
		name = name[:longest] + "-" + hex.EncodeToString(sum[:16])
	}
	return filepath.Join(cacheDir, logDir, name+".log")
}

// openLog opens a log to append to it. It and the one before it have to be the
// user's own.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("log %s: %w", path, cause(err))
	}
	before, err := openOwnFile(oldLog(path), os.O_RDONLY)
	if err == nil {
		err = before.Close()
	}
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("log %w", err)
	}
	f, err := openOwnFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("log %w", err)
	}
	return f, nil
}

// oldLog is where a log is copied to when it is full.
func oldLog(path string) string { return path + ".old" }

// A boundedLog writes to a log that is open for appending. When half of maxLog
// is in it, that is copied to PATH.old and the file starts again, in place:
// the runtime's last words go to the same open file, the standard error.
//
// It is not safe for concurrent use; a slog.Handler writes one line at a time.
type boundedLog struct {
	file *os.File
	path string
	max  int64
	size int64
}

func newBoundedLog(file *os.File, path string) (*boundedLog, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return &boundedLog{file: file, path: path, max: maxLog / 2, size: info.Size()}, nil
}

func (l *boundedLog) Write(line []byte) (int, error) {
	if l.size > 0 && l.size+int64(len(line)) > l.max {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// rotate truncates the log even if it can't be copied: the bound comes first.
func (l *boundedLog) rotate() error {
	copied := copyFile(l.path, oldLog(l.path))
	if err := l.file.Truncate(0); err != nil {
		return errors.Join(copied, err)
	}
	l.size = 0
	return nil
}

func copyFile(from, to string) error {
	source, err := openOwnFile(from, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // only read
	target, err := openOwnFile(to, os.O_CREATE|os.O_WRONLY)
	if err != nil {
		return err
	}
	if err = target.Truncate(0); err == nil {
		_, err = io.Copy(target, source)
	}
	return errors.Join(err, target.Close())
}

// lastLines is the end of what a log holds from an offset on, at most ten
// lines and 4 KiB.
func lastLines(log io.ReaderAt, from, size int64) string {
	const most, lines = 4 << 10, 10
	from = max(from, size-most)
	text, err := io.ReadAll(io.NewSectionReader(log, from, size-from))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
