package cache

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"
	"github.com/opencontainers/go-digest"
)

// disk is the directory of a cache. Below Options.Dir lies v1, the version of
// its format, and there:
//
//	manifests/sha256/HEX       a document, whole
//	blobs/sha256/HEX           a blob, whole and verified
//	blobs/sha256/HEX.sums      of a large one: the checksums of its chunks
//	partial/sha256-HEX.ORIGIN  of a large one that isn't whole yet: .data with
//	                           holes and .journal with the checksums of the
//	                           chunks that are there; ORIGIN stands for who
//	                           sent them. With one more part in its name it is
//	                           one process's own, since another one fills the first
//	indexes/NAME               what was found out about a blob, see PutIndex
//	tmp/                       files being written
//
// Everything may be deleted at any time.
type disk struct {
	root   string // with the version
	limit  int64  // Options.Size
	log    *slog.Logger
	counts *counters

	checkFree int64        // bytes written between two looks at the free space
	used      atomic.Int64 // bytes, by the last scan and what was written since
	unscanned atomic.Int64 // bytes written since the last scan
	unchecked atomic.Int64 // bytes written since free space was last looked at
	pending   atomic.Int64 // bytes that are reserved and not written yet
	warned    occasionally

	evicting sync.Mutex // guards what follows, and is held while making room
	full     time.Time  // when no room could be made last
}

const formatVersion = "v1"

// touchEvery is how often a file's time of last use is written at most.
const touchEvery = time.Minute

func openDisk(dir string, limit int64, log *slog.Logger, counts *counters) (*disk, error) {
	d := &disk{root: filepath.Join(dir, formatVersion), limit: limit, log: log, counts: counts}
	for _, sub := range []string{"manifests", "blobs", "partial", "indexes", "tmp"} {
		if err := os.MkdirAll(filepath.Join(d.root, sub), 0o700); err != nil {
			return nil, fmt.Errorf("cache directory %s: %w", dir, err)
		}
		probe, err := os.CreateTemp(filepath.Join(d.root, sub), "probe-*.tmp")
		if err != nil {
			return nil, fmt.Errorf("cache directory %s isn't writable: %w", dir, err)
		}
		if err := probe.Close(); err != nil {
			return nil, fmt.Errorf("cache directory %s: %w", dir, err)
		}
		if err := os.Remove(probe.Name()); err != nil {
			return nil, fmt.Errorf("cache directory %s: %w", dir, err)
		}
	}
	size, _ := d.space()
	d.checkFree = min(checkFree, size/checkShare)
	d.evicting.Lock()
	defer d.evicting.Unlock()
	d.evict()
	return d, nil
}

func (d *disk) document(dg digest.Digest) string {
	return filepath.Join(d.root, "manifests", dg.Algorithm().String(), dg.Encoded())
}

func (d *disk) blob(dg digest.Digest) string {
	return filepath.Join(d.root, "blobs", dg.Algorithm().String(), dg.Encoded())
}

// sums is where the checksums of the blob at path are.
func sums(path string) string { return path + ".sums" }

// partial is the path of k's partial blob, without ".data" and ".journal".
func (d *disk) partial(k Key) string {
	origin := sha256.Sum256(fmt.Appendf(nil, "%d %s", k.Size, k.Origin))
	name := fmt.Sprintf("%s-%s.%x", k.Digest.Algorithm(), k.Digest.Encoded(), origin[:16])
	return filepath.Join(d.root, "partial", name)
}

// hasBlob says whether a small blob's file is there. What is in it is verified
// when it is read.
func (d *disk) hasBlob(k Key) bool {
	info, err := os.Lstat(d.blob(k.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == k.Size
}

func (d *disk) readBlob(k Key) []byte {
	data := d.readWhole(d.blob(k.Digest), k.Digest)
	if int64(len(data)) != k.Size {
		return nil // the file is right, so it is the descriptor's size that isn't
	}
	return data
}

func (d *disk) writeBlob(dg digest.Digest, data []byte) bool {
	return d.writeWhole(d.blob(dg), data)
}

// readWhole is the file at path if its content is dg's; nil otherwise. A file
// whose content is another is removed.
func (d *disk) readWhole(path string, dg digest.Digest) []byte {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > SmallBlob {
		return nil
	}
	data, err := os.ReadFile(path) //nolint:gosec // the path is the digest's, which is valid
	if err != nil {
		d.warn("a file of the cache can't be read", path, err)
		return nil
	}
	if dg.Algorithm().FromBytes(data) != dg {
		d.counts.wrongOnDisk.Add(1)
		d.log.Warn("a file of the cache is damaged and is removed", "path", path)
		d.remove(path)
		return nil
	}
	d.touch(path, info)
	return data
}

// writeWhole writes a file; false if it couldn't, which only the log tells.
// The directory isn't synced: what is lost with it is fetched again.
func (d *disk) writeWhole(path string, data []byte) bool {
	if !d.reserve(onDiskSize(len(data))) {
		return false
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(filepath.Join(d.root, "tmp")))
	}
	d.settle(onDiskSize(len(data)), err == nil)
	if err != nil {
		d.warn("the cache can't be written", path, err)
	}
	return err == nil
}

// onDiskSize is what n bytes of a file take, in blocks of the usual size.
func onDiskSize(n int) int64 { return (int64(n) + 4095) &^ 4095 }

// touch notes that the file is used.
func (d *disk) touch(path string, info fs.FileInfo) {
	now := time.Now()
	if now.Sub(info.ModTime()) < touchEvery {
		return
	}
	if err := os.Chtimes(path, now, now); err != nil {
		d.warn("the use of a file of the cache can't be noted", path, err)
	}
}

// remove unlinks a file and what it took. One that isn't there is fine.
func (d *disk) remove(path string) {
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	if err := os.Remove(path); err != nil {
		d.warn("a file of the cache can't be removed", path, err)
		return
	}
	d.used.Add(-blocks(info))
}

// warn logs a failure of the disk, once a minute at most: with a broken disk
// each read would bring another one.
func (d *disk) warn(what, path string, err error) {
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

// CachedSize is the size of the blob d if it is on disk, whole and verified; it
// asks nobody.
func (c *Cache) CachedSize(d digest.Digest) (int64, bool) {
	if c.disk == nil || d.Validate() != nil {
		return 0, false
	}
	path := c.disk.blob(d)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	if info.Size() <= SmallBlob {
		data := c.disk.readWhole(path, d)
		return int64(len(data)), data != nil
	}
	s := c.disk.openComplete(Key{Digest: d, Size: info.Size()})
	if s == nil {
		return 0, false
	}
	return info.Size(), s.close() == nil
}
