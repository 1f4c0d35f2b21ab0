package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// disk is the directory of a cache. Below Options.Dir lies v2, the version of
// its format, and there:
//
//	blobs/sha256/HEX           a small blob or a document, verified: a file; or a
//	                           large one, whole and verified: a directory with
//	                           data and sums
//	partial/sha256-HEX.ORIGIN  a large one that isn't whole yet, likewise; ORIGIN
//	                           stands for who sent it
//	indexes/NAME               what was found out about a blob, see PutIndex
//	tmp/                       what is being written, or being removed
//	used                       how many bytes all of it takes; locked by who makes room
//
// Everything may be deleted at any time.
type disk struct {
	root   string // with the version
	limit  int64  // Options.Size
	log    *slog.Logger
	counts *counters
	usage  *usage
	queue  *queue
	room   room

	paused atomic.Int64 // nothing is written before, in Unix nanoseconds
	warned occasionally
}

const formatVersion = "v2"

const (
	// touchEvery is how often a file's time of last use is written at most.
	touchEvery = time.Minute
	// pauseAfter a failure nothing is written, so that a disk that fails, or was
	// mounted read-only, isn't tried for each chunk, and is used again when it can.
	pauseAfter = 15 * time.Second
)

var errReadOnly = errors.New("nothing is written to the cache at the moment")

var subdirectories = []string{"blobs", "partial", "indexes", "tmp"}

// openDisk looks at nothing that is in the directory: a mount doesn't wait for
// that, however much it is.
func openDisk(dir string, limit int64, log *slog.Logger, counts *counters, work *workers) (*disk, error) {
	d := &disk{root: filepath.Join(dir, formatVersion), limit: limit, log: log, counts: counts}
	err := d.makeDirectories()
	switch {
	case errors.Is(err, unix.EROFS), errors.Is(err, os.ErrPermission):
		if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
			return nil, fmt.Errorf("cache directory %s: %w", dir, err)
		}
		d.failed("the cache directory can't be written: what is in it is served", d.root, err)
	case err != nil:
		return nil, fmt.Errorf("cache directory %s: %w", dir, err)
	}
	d.usage = openUsage(filepath.Join(d.root, "used"))
	d.room.init(d)
	d.queue = newQueue()
	work.run(func() { d.begin() })
	return d, nil
}

// makeDirectories makes what isn't there, with a file in it to see that one can.
func (d *disk) makeDirectories() error {
	for _, sub := range subdirectories {
		if err := os.MkdirAll(filepath.Join(d.root, sub), 0o700); err != nil {
			return err
		}
	}
	probe, err := os.CreateTemp(filepath.Join(d.root, "tmp"), "probe-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (d *disk) blob(dg digest.Digest) string {
	return filepath.Join(d.root, "blobs", dg.Algorithm().String(), dg.Encoded())
}

// partial is the path of k's partial blob.
func (d *disk) partial(k Key) string {
	origin := sha256.Sum256(fmt.Appendf(nil, "%d %s", k.Size, k.Origin))
	return filepath.Join(d.root, "partial", fmt.Sprintf("%s-%s.%x", k.Digest.Algorithm(), k.Digest.Encoded(), origin[:16]))
}

// readSmall is the small blob d, nil if it isn't there. A file whose content is
// another is removed; one that can't be read isn't.
func (d *disk) readSmall(dg digest.Digest) []byte {
	path := d.blob(dg)
	data, info := d.readFile(path, SmallBlob)
	if data == nil {
		return nil
	}
	if dg.Algorithm().FromBytes(data) != dg {
		d.damaged(path)
		return nil
	}
	d.used(path, info)
	return data
}

// readFile is what is in a file of at most so many bytes, nil if there is none.
func (d *disk) readFile(path string, most int64) ([]byte, os.FileInfo) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, nil
	}
	data, err := os.ReadFile(path) //nolint:gosec // the path is the cache's own
	if err != nil {
		d.failed("a file of the cache can't be read", path, err)
		return nil, nil
	}
	return append(make([]byte, 0, len(data)), data...), info
}

// damaged removes a file that isn't as it was written.
func (d *disk) damaged(path string) {
	d.counts.wrongOnDisk.Add(1)
	d.log.Warn("a file of the cache is damaged and is removed", "path", path)
	d.throwAway(path)
}

// keepSmall has a small blob written.
func (d *disk) keepSmall(dg digest.Digest, data []byte) {
	d.queue.put(func() { d.writeFile(d.blob(dg), data) }, func() {})
}

// writeFile writes a file, whole or not at all. The directory isn't synced: what
// is lost with it is fetched again.
func (d *disk) writeFile(path string, data []byte) bool {
	size := onDiskSize(len(data))
	if d.reserve(size) != nil {
		return false
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if info, statErr := os.Lstat(path); err == nil && statErr == nil && info.IsDir() {
		err = fmt.Errorf("%s: a directory is in the way", path)
		d.throwAway(path)
	}
	if err == nil {
		err = renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(filepath.Join(d.root, "tmp")))
	}
	d.settle(size, err)
	return err == nil
}

// onDiskSize is what n bytes of a file take, in blocks of the usual size.
func onDiskSize(n int) int64 { return (int64(n) + 4095) &^ 4095 }

// used notes that a file is used.
func (d *disk) used(path string, info os.FileInfo) {
	if now := time.Now(); now.Sub(info.ModTime()) >= touchEvery {
		d.touch(path, now)
	}
}

func (d *disk) touch(path string, now time.Time) {
	if !d.mayWrite() {
		return
	}
	if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.failed("the use of a file of the cache can't be noted", path, err)
	}
}

// throwAway removes a file or a directory: it is out of its place at once, and
// what it took is free.
func (d *disk) throwAway(path string) {
	size := sizeOn(path)
	gone := filepath.Join(d.root, "tmp", "gone-"+rand.Text())
	err := os.Rename(path, gone)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.RemoveAll(gone)
		d.usage.add(-size)
	}
	if err != nil {
		d.failed("a file of the cache can't be removed", path, err)
	}
}

// mayWrite says whether the disk is to be written to now.
func (d *disk) mayWrite() bool { return time.Now().UnixNano() >= d.paused.Load() }

// failed is told of a failure of the disk. After one of writing nothing is
// written for a while. It logs a line, once a minute at most: with a broken disk
// each read would bring another one.
func (d *disk) failed(what, path string, err error) {
	if errors.Is(err, os.ErrClosed) {
		return
	}
	d.paused.Store(time.Now().Add(pauseAfter).UnixNano())
	if d.warned.now() {
		d.log.Warn(what, "path", path, "error", err)
	} else {
		d.log.Debug(what, "path", path, "error", err)
	}
}

// occasionally is true once a minute.
type occasionally struct {
	mu   sync.Mutex // guards last
	last time.Time
}

func (o *occasionally) now() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.last.IsZero() && time.Since(o.last) < time.Minute {
		return false
	}
	o.last = time.Now()
	return true
}
