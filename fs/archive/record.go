package archive

import (
	"fmt"
	"unsafe"
)

// An index and a tree are read where they lie: loading one makes no object for
// an entry, and what is named in it is a part of one string. All numbers are
// little-endian.

// frozen is b as a string, without a copy: nobody changes b any more.
func frozen(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// A table is records of one size.
type table struct {
	raw  string
	size int
}

func (t table) len() int { return len(t.raw) / t.size }

func (t table) at(i int) record { return record(t.raw[i*t.size : (i+1)*t.size]) }

type record string

func (r record) u16(at int) uint16 { return uint16(r[at]) | uint16(r[at+1])<<8 }

func (r record) u32(at int) uint32 {
	_ = r[at+3]
	return uint32(r[at]) | uint32(r[at+1])<<8 | uint32(r[at+2])<<16 | uint32(r[at+3])<<24
}

func (r record) u64(at int) uint64 { return uint64(r.u32(at)) | uint64(r.u32(at+4))<<32 }

// A heap holds what has no fixed size: names, targets, attributes, windows.
type heap string

func (h heap) has(off uint32, n uint64) bool { return uint64(off)+n <= uint64(len(h)) }

func (h heap) at(off, n uint32) string { return string(h[off : off+n]) }

// A heapWriter makes a heap. Short strings occur often, the names of libraries'
// files and the same attributes: they are written once.
type heapWriter struct {
	bytes  []byte
	shared map[string]uint32
}

const (
	maxShared    = maxEntries / 4 // strings that are remembered
	maxSharedLen = 128            // and how long they are, in bytes
	sharedCost   = 96             // of one of them, about, in bytes
)

func (w *heapWriter) put(s string) uint32 {
	if off, ok := w.shared[s]; ok {
		return off
	}
	off := uint32(len(w.bytes)) //nolint:gosec // bounded by maxIndex
	w.bytes = append(w.bytes, s...)
	if len(w.shared) < maxShared && len(s) <= maxSharedLen {
		if w.shared == nil {
			w.shared = map[string]uint32{}
		}
		w.shared[s] = off
	}
	return off
}

// damaged is the error of an index or a tree that isn't one.
func damaged(format string, args ...any) error {
	return fmt.Errorf("index damaged: %s", fmt.Sprintf(format, args...))
}

// cutTables takes tables of so many records each from the front of raw. What is
// left is the heap, whose length is the last number.
func cutTables(raw string, counts []uint32, tables ...*table) (heap, error) {
	for i, t := range tables {
		n := uint64(counts[i]) * uint64(t.size) //nolint:gosec // a constant above 0
		if n > uint64(len(raw)) {
			return "", damaged("table %d of %d bytes", i, n)
		}
		t.raw, raw = raw[:n], raw[n:]
	}
	if uint64(counts[len(tables)]) != uint64(len(raw)) {
		return "", damaged("heap of %d bytes", len(raw))
	}
	return heap(raw), nil
}
