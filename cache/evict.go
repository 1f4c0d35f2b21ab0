package cache

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keepFree is the share of the file system that is left free: 5 %.
	keepFree = 20
	// checkFree is how many bytes are written between two looks at the free
	// space, at most, and checkShare which share of the file system.
	checkFree  = 16 << 20
	checkShare = 64
	// scanShare is the share of the limit that is written between two scans:
	// others may write to the same directory.
	scanShare = 16
	// fullPause is how long it takes until room is looked for again when
	// there was none to be made.
	fullPause = 5 * time.Second
	// sweepAfter is the age at which a file that a process may just be
	// making is taken for a leftover.
	sweepAfter = time.Hour
)

// reserve makes room for n bytes and counts them as used; false if there is no
// room to be made. Who gets true calls settle when it has written them.
func (d *disk) reserve(n int64) bool {
	d.pending.Add(n)
	used, unscanned, unchecked := d.used.Add(n), d.unscanned.Add(n), d.unchecked.Add(n)
	if used <= d.limit && unscanned <= d.limit/scanShare && unchecked <= d.checkFree || d.makeRoom() {
		return true
	}
	d.settle(n, false)
	return false
}

// settle ends a reservation of n bytes: they were written, or they weren't.
func (d *disk) settle(n int64, written bool) {
	d.pending.Add(-n)
	if !written {
		d.used.Add(-n)
	}
}

// makeRoom evicts if the cache is over its limit or the file system nearly
// full, and says whether it then isn't.
func (d *disk) makeRoom() bool {
	d.evicting.Lock()
	defer d.evicting.Unlock()
	if time.Since(d.full) < fullPause {
		return false
	}
	if d.used.Load() > d.limit || d.unscanned.Load() > d.limit/scanShare || d.shortage() > 0 {
		d.evict()
	}
	if d.used.Load() > d.limit || d.shortage() > 0 {
		d.full = time.Now()
		d.log.Debug("no room in the cache", "used", d.used.Load(), "size", d.limit)
		return false
	}
	d.unchecked.Store(0)
	return true
}

// shortage is how many bytes the file system has too few of once what is
// reserved is written. One that can't tell has enough.
func (d *disk) shortage() int64 {
	size, free := d.space()
	if size == 0 {
		return 0
	}
	return size/keepFree + d.pending.Load() - free
}

// space is the file system's size and what is free of it, in bytes; 0 and 0 if
// it can't tell.
func (d *disk) space() (size, free int64) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.root, &st); err != nil {
		return 0, 0
	}
	block := int64(st.Bsize)                                  //nolint:unconvert // it isn't an int64 everywhere
	return int64(st.Blocks) * block, int64(st.Bavail) * block //nolint:gosec // no file system is that big
}

// An entry is what can be evicted as one.
type entry struct {
	path    string // of a partial without ".data" and ".journal"
	partial bool
	data    bool // it has its data
	journal bool // it has its journal, or its sums
	size    int64
	used    time.Time
}

// leftover says that the entry is of no use to anybody: data or a journal
// alone, where nobody can be about to write the other, or a partial of a
// process that has ended. One that hasn't ended has it locked.
func (e *entry) leftover() bool {
	old := time.Since(e.used) > sweepAfter
	if e.partial {
		private := strings.Count(filepath.Base(e.path), ".") > 1
		return private || old && !(e.data && e.journal)
	}
	return old && !e.data
}

// evict scans the directory and removes what was used least recently until the
// cache takes 90 % of its limit, if it takes more than its limit, and until
// the file system has room. d.evicting is held.
func (d *disk) evict() {
	before := d.used.Load()
	d.unscanned.Store(0)
	entries, total := d.scan()
	d.used.Add(total - before) // what was written meanwhile stays counted
	target := d.limit
	if d.used.Load() > d.limit {
		target = d.limit / 10 * 9
	}
	if shortage := d.shortage(); shortage > 0 {
		target = min(target, d.used.Load()-shortage)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return a.used.Compare(b.used) })
	for _, e := range entries {
		if e.leftover() {
			d.discard(e)
			continue
		}
		if d.used.Load() <= target {
			continue
		}
		if d.discard(e) {
			d.counts.evictions.Add(1)
			d.log.Debug("evicted", "path", e.path, "size", e.size)
		}
	}
}

// discard removes an entry; false if it is a partial that is in use.
func (d *disk) discard(e *entry) bool {
	if !e.partial {
		d.remove(e.path)
		d.remove(sums(e.path))
		return true
	}
	if e.journal {
		f, err := openRegular(e.path+".journal", os.O_RDWR)
		if err != nil {
			return false
		}
		defer func() { _ = f.Close() }() // nothing was written to it
		if _, err := lock(f); err != nil {
			return false
		}
	}
	d.remove(e.path + ".data")
	d.remove(e.path + ".journal")
	return true
}

// scan lists what can be evicted, and how many bytes all of it takes. It
// removes old files from tmp on its way.
func (d *disk) scan() (entries []*entry, total int64) {
	byPath := make(map[string]*entry)
	err := filepath.WalkDir(d.root, func(path string, f fs.DirEntry, err error) error {
		if err != nil || !f.Type().IsRegular() {
			return nil // vanished, or nothing of ours
		}
		info, err := f.Info()
		if err != nil {
			return nil
		}
		dir, _, _ := strings.Cut(strings.TrimPrefix(path, d.root+string(filepath.Separator)), string(filepath.Separator))
		if dir == "tmp" && time.Since(info.ModTime()) > sweepAfter {
			d.remove(path)
			return nil
		}
		total += blocks(info)
		if dir == "tmp" {
			return nil
		}
		base, journal := strings.CutSuffix(path, map[string]string{"partial": ".journal", "blobs": ".sums"}[dir])
		journal = journal && base != path
		if dir == "partial" {
			base = strings.TrimSuffix(base, ".data")
		}
		e := byPath[base]
		if e == nil {
			e = &entry{path: base, partial: dir == "partial"}
			byPath[base] = e
		}
		e.data = e.data || !journal
		e.journal = e.journal || journal
		e.size += blocks(info)
		if info.ModTime().After(e.used) {
			e.used = info.ModTime()
		}
		return nil
	})
	if err != nil {
		d.warn("the cache can't be scanned", d.root, err)
	}
	return slices.Collect(maps.Values(byPath)), total
}

// blocks is what a file takes, holes excepted.
func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512 // the unit of st_blocks, see stat(2)
	}
	return info.Size()
}
