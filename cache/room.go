package cache

import (
	"container/heap"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keepFree is the share of the file system that is left free: 5 %. Room is
	// made until spare more is free: 1 %.
	keepFree = 20
	spare    = 100
	// lowWater is the share of the limit that is given back when it is reached,
	// so that room isn't made for each chunk: 1/16.
	lowWater = 16
	// checkFree is how many bytes are written between two looks at the free
	// space, at most, and checkShare which share of the file system.
	checkFree  = 16 << 20
	checkShare = 64
	// maxOldest is how many of what could go are remembered, the oldest. When
	// they are gone, all is looked through again.
	maxOldest = 1 << 14
	// roomPause is how long it takes until room is looked for again when
	// there was none to be made.
	roomPause = 5 * time.Second
	// sweepAfter is the age at which a file that a process may just be
	// making is taken for a leftover.
	sweepAfter = time.Hour
)

// errNoRoom is that something isn't written because there is no room for it.
var errNoRoom = errors.New("no room in the cache")

// room is how a disk stays within its bounds: Options.Size for all that use the
// directory together, and the free space of the file system. What was used
// longest ago goes first, entry by entry; what somebody has open stays.
//
// Nothing is kept of what is there, except some of what was used longest ago: the
// times of the files say when they were used, whoever did.
type room struct {
	disk      *disk
	checkFree int64
	unchecked atomic.Int64 // bytes written since free space was last looked at
	underway  atomic.Int64 // bytes reserved and not settled: the file system may not know of them

	mu     sync.Mutex // held while room is made; guards what follows
	oldest []entry    // what goes next, the oldest last
	none   time.Time  // when there was no room to be made
}

// An entry is what is evicted as one: a blob, a partial blob, an index.
type entry struct {
	path string
	used time.Time
}

func (r *room) init(d *disk) {
	r.disk = d
	size, _ := r.space()
	r.checkFree = min(checkFree, size/checkShare)
}

// reserve makes room for n bytes and counts them as used. Who gets no error calls
// settle when it has written them.
func (d *disk) reserve(n int64) error {
	if !d.mayWrite() {
		return errReadOnly
	}
	d.room.underway.Add(n)
	used, unchecked := d.usage.add(n), d.room.unchecked.Add(n)
	if used <= d.limit && unchecked <= d.room.checkFree || d.room.find() {
		return nil
	}
	d.usage.add(-n)
	d.room.underway.Add(-n)
	return errNoRoom
}

// settle ends a reservation of n bytes: err is how writing them ended.
func (d *disk) settle(n int64, err error) {
	d.room.underway.Add(-n)
	if err == nil {
		return
	}
	d.usage.add(-n)
	if errors.Is(err, os.ErrNotExist) { // somebody removed the directory
		err = errors.Join(err, d.makeDirectories())
	}
	d.failed("the cache can't be written: going on without for a while", d.root, err)
}

// share is how much of the disk a blob of that size may take: all of it, unless
// it can't be kept as a whole anyway.
func (d *disk) share(size int64) int64 {
	if size > d.limit-d.limit/lowWater {
		return max(d.limit/4, ChunkSize)
	}
	return d.limit
}

// find evicts if the cache is over its limit or the file system nearly full, and
// says whether it then isn't.
func (r *room) find() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.none) < roomPause {
		return false
	}
	r.unchecked.Store(0)
	if r.over(0) <= 0 {
		return true
	}
	turn, err := r.turn()
	if err != nil {
		r.disk.log.Debug("another process makes room", "error", err)
		return r.over(0) <= 0
	}
	defer turn.Close() //nolint:errcheck // it holds nothing
	looked := false
	for r.over(1) > 0 {
		if len(r.oldest) == 0 {
			if looked {
				break
			}
			looked = true
			r.look()
			continue
		}
		next := r.oldest[len(r.oldest)-1]
		r.oldest = r.oldest[:len(r.oldest)-1]
		r.evict(next)
	}
	if r.over(0) > 0 {
		r.none = time.Now()
		r.disk.log.Debug("no room in the cache", "used", r.disk.usage.now(), "size", r.disk.limit)
		return false
	}
	return true
}

// turn is held by the one process that makes room.
func (r *room) turn() (*os.File, error) {
	f, err := openRegular(filepath.Join(r.disk.root, "used"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	const tries, between = 100, 10 * time.Millisecond
	for range tries {
		if err = lock(f, unix.LOCK_EX); err == nil {
			return f, nil
		}
		time.Sleep(between)
	}
	return nil, errors.Join(err, f.Close())
}

// over is how many bytes there are too many; with more 1, so that some are to
// spare.
func (r *room) over(more int64) int64 {
	size, free := r.space()
	short := size/keepFree + more*size/spare + r.underway.Load() - free
	if size == 0 {
		short = 0 // a file system that can't tell has enough
	}
	return max(r.disk.usage.now()-r.disk.limit+more*r.disk.limit/lowWater, short)
}

// space is the file system's size and free bytes; zeros if it can't tell.
func (r *room) space() (size, free int64) {
	var st unix.Statfs_t
	if unix.Statfs(r.disk.root, &st) != nil {
		return 0, 0
	}
	unit := int64(st.Bsize)                                 //nolint:unconvert // another type elsewhere
	return int64(st.Blocks) * unit, int64(st.Bavail) * unit //nolint:gosec // no file system is that large
}

// evict removes an entry, unless it was used meanwhile or somebody has it open.
func (r *room) evict(e entry) {
	now, size, ok := lastUsed(e.path)
	if !ok || now.After(e.used) {
		return
	}
	if info, err := os.Lstat(e.path); err == nil && info.IsDir() {
		sums, err := openRegular(filepath.Join(e.path, sumsName), os.O_RDWR)
		if err == nil {
			defer sums.Close() //nolint:errcheck // nothing was written to it
			if lock(sums, unix.LOCK_EX) != nil {
				return
			}
		}
	}
	r.disk.counts.evictions.Add(1)
	r.disk.counts.evictedBytes.Add(size)
	r.disk.log.Debug("evicted", "path", e.path)
	r.disk.throwAway(e.path)
}

// lastUsed is when an entry was used, and what it takes.
func lastUsed(path string) (used time.Time, size int64, ok bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, 0, false
	}
	if !info.IsDir() {
		return info.ModTime(), blocks(info), true
	}
	used = info.ModTime()
	if sums, err := os.Lstat(filepath.Join(path, sumsName)); err == nil {
		used = sums.ModTime()
	}
	return used, sizeOn(path), true
}

// sizeOn is what a file, or the files of a directory, take on disk.
func sizeOn(path string) (size int64) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	if !info.IsDir() {
		return blocks(info)
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return 0
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && !info.IsDir() {
			size += blocks(info)
		}
	}
	return size
}

// blocks is what a file takes, holes excepted.
func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512 // the unit of st_blocks, see stat(2)
	}
	return info.Size()
}

// begin looks through the directory once where nobody knows what it takes, and
// removes what was left over.
func (d *disk) begin() {
	if d.usage.known() {
		d.room.sweep()
		return
	}
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	turn, err := d.room.turn()
	if err == nil {
		defer turn.Close() //nolint:errcheck // it holds nothing
	}
	// Two that look at once would both correct what they find.
	if !errors.Is(err, unix.EWOULDBLOCK) && !d.usage.known() {
		d.room.look()
	}
}

// look finds what was used longest ago, and how much all takes. r.mu is held.
func (r *room) look() {
	began := r.disk.usage.now()
	var total int64
	var found newest
	// The partial ones first: one that becomes whole meanwhile is then counted twice,
	// and not missed.
	for _, pattern := range []string{"partial", "blobs/*", "indexes"} {
		dirs, err := filepath.Glob(filepath.Join(r.disk.root, pattern))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			total += r.lookIn(dir, &found)
		}
	}
	r.sweep()
	slices.SortFunc(found, func(a, b entry) int { return b.used.Compare(a.used) })
	r.oldest = found
	r.disk.usage.correct(total - began)
}

// lookIn adds what is in one directory.
func (r *room) lookIn(dir string, found *newest) (total int64) {
	f, err := os.Open(dir) //nolint:gosec // the cache's own
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it was only read
	for {
		names, err := f.Readdirnames(1000)
		for _, name := range names {
			path := filepath.Join(dir, name)
			used, size, ok := lastUsed(path)
			if !ok || strings.HasPrefix(name, ".") {
				continue
			}
			total += size
			heap.Push(found, entry{path, used})
			if found.Len() > maxOldest {
				heap.Pop(found)
			}
		}
		if err != nil {
			return total
		}
	}
}

// newest is a heap whose first is the entry that was used last.
type newest []entry

func (h newest) Len() int           { return len(h) }
func (h newest) Less(i, j int) bool { return h[i].used.After(h[j].used) }
func (h newest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *newest) Push(x any) { *h = append(*h, x.(entry)) }

// Pop implements heap.Interface.
func (h *newest) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// sweep removes old files from tmp.
func (r *room) sweep() {
	tmp := filepath.Join(r.disk.root, "tmp")
	list, err := os.ReadDir(tmp)
	if err != nil {
		return
	}
	for _, e := range list {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > sweepAfter {
			if err := os.RemoveAll(filepath.Join(tmp, e.Name())); err != nil {
				r.disk.failed("a leftover of the cache can't be removed", tmp, err)
			}
		}
	}
}
