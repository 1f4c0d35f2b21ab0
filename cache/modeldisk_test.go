package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// modelDir is a directory that is fast to write to, where there is one.
func modelDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "model-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// entries are what lies in the cache directory as one, somewhere.
func (w *world) entries() []string {
	complete, _ := filepath.Glob(filepath.Join(w.dir, formatVersion, "blobs/*/*"))
	partial, _ := filepath.Glob(filepath.Join(w.dir, formatVersion, "partial/*"))
	return append(complete, partial...)
}

// remove removes something from the cache directory, open or not.
func (w *world) remove() {
	if all := w.entries(); len(all) > 0 {
		path := all[w.rng.IntN(len(all))]
		w.tell("somebody removes %s", path)
		if err := os.RemoveAll(path); err != nil {
			w.tell("%v", err)
		}
	}
}

// damage flips a byte on disk.
func (w *world) damage() {
	all := w.entries()
	for _, d := range w.daemons {
		for _, h := range d.handles {
			if h.file != nil {
				return // what the kernel reads itself nobody checks
			}
		}
	}
	if len(all) == 0 {
		return
	}
	path := filepath.Join(all[w.rng.IntN(len(all))], []string{dataName, dataName, sumsName}[w.rng.IntN(3)])
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it is damaged
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return
	}
	w.damaged = true
	w.sums.Damages++
	var b [1]byte
	at := w.rng.Int64N(info.Size())
	_, _ = f.ReadAt(b[:], at)
	b[0] ^= 0x40
	_, _ = f.WriteAt(b[:], at)
	w.tell("byte %d of %s is damaged", at, path)
}

// badDisk has a program read while the disk fails.
func (w *world) badDisk(d *daemon) {
	h := w.handle(d)
	t := h.blob.table
	w.settle(d)
	t.mu.Lock()
	s := t.store
	t.mu.Unlock()
	if s == nil || h.file != nil {
		return
	}
	w.tell("daemon %d has a bad disk", d.name)
	mend := breakFile(w.t, s.data)
	w.read(h)
	w.settle(d)
	mend()
	d.cache.disk.paused.Store(0)
	w.tell("daemon %d has a good disk", d.name)
}

// breakFile makes every read and write of an open file fail until the returned
// function is called.
func breakFile(t testing.TB, f *os.File) (mend func()) {
	t.Helper()
	fd := int(f.Fd())
	good, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := unix.Open(f.Name(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		bad, err = unix.Open(os.DevNull, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.Dup3(bad, fd, unix.O_CLOEXEC)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(unix.Dup3(good, fd, unix.O_CLOEXEC), unix.Close(good), unix.Close(bad)); err != nil {
			t.Fatal(err)
		}
	}
}
