package cache

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A Directory is that of a disk cache, for who looks after it by hand: mounts may
// use it at the same time, and nothing is taken away that one of them has open.
type Directory struct {
	disk *disk
	work workers
}

// OpenDirectory opens the directory of a cache. One that isn't there, or holds no
// cache, is fs.ErrNotExist.
func OpenDirectory(dir string, log *slog.Logger) (*Directory, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(filepath.Join(dir, formatVersion)); err != nil {
		return nil, fmt.Errorf("no cache in %s: %w", dir, err)
	}
	d := &Directory{work: workers{log: log}}
	var err error
	d.disk, err = openDisk(dir, math.MaxInt64, log, &counters{}, &d.work)
	return d, err
}

// Close waits for what goes on in the background.
func (d *Directory) Close() error {
	d.disk.queue.end()
	d.work.wait()
	return nil
}

// A Holding is one thing that a cache holds on disk, and which is evicted as one.
type Holding struct {
	// Digest is that of a blob; "" is an index, see Cache.PutIndex.
	Digest digest.Digest
	// Size is the blob's, in bytes, -1 where it isn't known.
	Size int64
	// Partial is that not all of the blob is here, or it isn't verified yet.
	Partial bool
	// Bytes is what it takes on disk.
	Bytes int64
	// Used is when it was used last, to the minute.
	Used time.Time

	path string
}

// Holdings are all that the cache holds, in no order. What goes or comes meanwhile
// may be among them or not.
func (d *Directory) Holdings() iter.Seq[Holding] {
	return func(yield func(Holding) bool) {
		for _, pattern := range []string{"blobs/*/*", "partial/*", "indexes/*"} {
			paths, err := filepath.Glob(filepath.Join(d.disk.root, pattern))
			if err != nil {
				continue // of a pattern that is none
			}
			for _, path := range paths {
				if h, ok := d.holding(path); ok && !yield(h) {
					return
				}
			}
		}
	}
}

func (d *Directory) holding(path string) (Holding, bool) {
	used, bytes, ok := lastUsed(path)
	h := Holding{Size: -1, Bytes: bytes, Used: used, path: path}
	parent, name := filepath.Split(path)
	switch filepath.Base(parent) {
	case "indexes":
	case "partial":
		name, _, _ = strings.Cut(name, ".")
		h.Digest, h.Partial = digest.Digest(strings.Replace(name, "-", ":", 1)), true
	default:
		h.Digest = digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(parent)), name)
	}
	if h.Digest != "" && h.Digest.Validate() != nil {
		return h, false
	}
	if h.Digest != "" {
		h.Size = d.size(h)
	}
	return h, ok
}

// size is the size of a blob by what is said of it on disk.
func (d *Directory) size(h Holding) int64 {
	if info, err := os.Lstat(h.path); err == nil && info.Mode().IsRegular() {
		return info.Size()
	}
	sums, err := openRegular(filepath.Join(h.path, sumsName), os.O_RDONLY)
	if err != nil {
		return -1
	}
	defer sums.Close() //nolint:errcheck // it was only read
	header := make([]byte, headerSize)
	if _, err := sums.ReadAt(header, 0); err != nil {
		return -1
	}
	size, ok := sizeInHeader(header, h.Digest)
	if !ok {
		return -1
	}
	return size
}

// Indexes are the contents that were kept under names that begin with prefix (see
// Cache.PutIndex), as far as they are as they were written.
func (d *Directory) Indexes(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		paths, err := filepath.Glob(filepath.Join(d.disk.root, "indexes", prefix+"*"))
		if err != nil {
			return
		}
		for _, path := range paths {
			file, _ := d.disk.readFile(path, maxIndexFile+headerSize+maxIndexName)
			if name, content, ok := parseIndex(file); ok && !yield(name, content) {
				return
			}
		}
	}
}

// Document is a document or another small blob, nil where it isn't here.
func (d *Directory) Document(dg digest.Digest) []byte { return d.disk.readSmall(dg) }

// A Bound is what a cache is to be shrunk to.
type Bound struct {
	// Bytes is what it may take on disk; negative is any.
	Bytes int64
	// Age is how long ago what stays was used, at most; 0 is any.
	Age time.Duration
}

// Pruned is what became of a Prune.
type Pruned struct {
	Removed int   // things
	Bytes   int64 // that they took
	InUse   int   // things that would have gone, but a mount has them open
	Left    int64 // bytes that the cache takes now
}

// Prune removes what was used longest ago until the cache is within a bound. What
// somebody has open stays.
func (d *Directory) Prune(ctx context.Context, to Bound) (Pruned, error) {
	var p Pruned
	r := &d.disk.room
	r.mu.Lock()
	defer r.mu.Unlock()
	turn, err := r.turn()
	if err != nil {
		return p, fmt.Errorf("prune %s: a mount makes room at the moment: %w", d.disk.root, err)
	}
	defer turn.Close() //nolint:errcheck // it holds nothing
	all := slices.Collect(d.Holdings())
	for _, h := range all {
		p.Left += h.Bytes
	}
	slices.SortFunc(all, func(a, b Holding) int { return a.Used.Compare(b.Used) })
	for _, h := range all {
		tooOld := to.Age > 0 && time.Since(h.Used) > to.Age
		tooMuch := to.Bytes >= 0 && p.Left > to.Bytes
		if !tooOld && !tooMuch || ctx.Err() != nil {
			break
		}
		if d.remove(h) {
			p.Removed++
			p.Bytes += h.Bytes
			p.Left -= h.Bytes
		} else if isThere(h.path) {
			p.InUse++
		}
	}
	return p, ctx.Err()
}

// remove removes something, unless somebody has it open or has just used it.
func (d *Directory) remove(h Holding) bool {
	d.disk.room.evict(entry{h.path, h.Used})
	return !isThere(h.path)
}

// inUse tells whether a process has a large blob open.
func inUse(path string) bool {
	sums, err := openRegular(filepath.Join(path, sumsName), os.O_RDWR)
	if err != nil {
		return false
	}
	defer sums.Close() //nolint:errcheck // nothing was written to it
	return lock(sums, unix.LOCK_EX) != nil
}
