package archive

import (
	"encoding/binary"
	"fmt"
)

// A flatbuffer reads a buffer of FlatBuffers (flatbuffers.dev, "FlatBuffer
// Internals") that nobody has checked: every offset may be wrong, and several
// may lead to one place. The first mistake is kept in err, and what is read
// after it is empty.
//
// What is read counts against budget, so that a small buffer whose offsets meet
// can't be long to read: writers share nothing but the tables' layouts, which
// aren't counted.
type flatbuffer struct {
	raw    []byte
	budget int64 // bytes
	err    error
}

func newFlatbuffer(raw []byte) *flatbuffer {
	return &flatbuffer{raw: raw, budget: 2*int64(len(raw)) + 64}
}

func (f *flatbuffer) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// bytes are n bytes at a position, nil if they aren't all there.
func (f *flatbuffer) bytes(at, n int64) []byte {
	if f.err != nil {
		return nil
	}
	if at < 0 || n < 0 || n > int64(len(f.raw)) || at > int64(len(f.raw))-n {
		f.fail("%d bytes at %d of %d", n, at, len(f.raw))
		return nil
	}
	return f.raw[at : at+n : at+n]
}

// spend counts n bytes that are read.
func (f *flatbuffer) spend(n int64) {
	if f.budget -= n; f.budget < 0 {
		f.fail("parts of it are meant several times")
	}
}

func (f *flatbuffer) u16(at int64) int64 {
	if b := f.bytes(at, 2); b != nil {
		return int64(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (f *flatbuffer) u32(at int64) uint32 {
	if b := f.bytes(at, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// follow is the position to which the offset at a position leads.
func (f *flatbuffer) follow(at int64) int64 { return at + int64(f.u32(at)) }

// root is the table in which all else is.
func (f *flatbuffer) root() flatTable { return f.table(f.follow(0)) }

// A flatTable is a table. The zero value is one without fields.
type flatTable struct {
	f          *flatbuffer
	at, size   int64
	vtable     int64 // where the fields' places are
	vtableSize int64
}

func (f *flatbuffer) table(at int64) flatTable {
	t := flatTable{f: f, at: at}
	t.vtable = at - int64(int32(f.u32(at))) //nolint:gosec // two's complement
	t.vtableSize, t.size = f.u16(t.vtable), f.u16(t.vtable+2)
	if t.vtableSize < 4 || t.size < 4 {
		f.fail("a table at %d of %d bytes", at, t.size)
	}
	if f.bytes(at, t.size) == nil || f.bytes(t.vtable, t.vtableSize) == nil {
		return flatTable{}
	}
	f.spend(t.size)
	return t
}

// field is the position of a field of width bytes; false is that the table
// doesn't have it.
func (t flatTable) field(i int, width int64) (int64, bool) {
	entry := 4 + 2*int64(i)
	if t.f == nil || entry+2 > t.vtableSize {
		return 0, false
	}
	off := t.f.u16(t.vtable + entry)
	if off == 0 {
		return 0, false
	}
	if off < 4 || off > t.size-width {
		t.f.fail("field %d of the table at %d is outside it", i, t.at)
		return 0, false
	}
	return t.at + off, true
}

func (t flatTable) uint8(i int, otherwise uint8) uint8 {
	if at, ok := t.field(i, 1); ok {
		if b := t.f.bytes(at, 1); b != nil {
			return b[0]
		}
	}
	return otherwise
}

func (t flatTable) uint32(i int) uint32 {
	if at, ok := t.field(i, 4); ok {
		return t.f.u32(at)
	}
	return 0
}

func (t flatTable) int64(i int) int64 {
	if at, ok := t.field(i, 8); ok {
		if b := t.f.bytes(at, 8); b != nil {
			return int64(binary.LittleEndian.Uint64(b)) //nolint:gosec // two's complement
		}
	}
	return 0
}

// table is a field that is a table.
func (t flatTable) table(i int) flatTable {
	if at, ok := t.field(i, 4); ok {
		return t.f.table(t.f.follow(at))
	}
	return flatTable{}
}

// bytes is a field that is a string or a vector of bytes.
func (t flatTable) bytes(i int) []byte { return t.vector(i, 1).raw }

func (t flatTable) string(i int) string { return string(t.bytes(i)) }

// offsets is a field that is a vector of tables or of strings.
func (t flatTable) offsets(i int) flatVector { return t.vector(i, 4) }

// A flatVector is a vector: a count, and elements of one size.
type flatVector struct {
	f   *flatbuffer
	at  int64 // of the first element
	len int
	raw []byte
}

func (t flatTable) vector(i int, width int64) flatVector {
	if at, ok := t.field(i, 4); ok {
		return t.f.vector(t.f.follow(at), width)
	}
	return flatVector{}
}

func (f *flatbuffer) vector(at, width int64) flatVector {
	n := int64(f.u32(at))
	raw := f.bytes(at+4, n*width)
	if raw == nil {
		return flatVector{}
	}
	f.spend(4 + n*width)
	return flatVector{f: f, at: at + 4, len: len(raw) / int(width), raw: raw}
}

// table is element i, of tables.
func (v flatVector) table(i int) flatTable { return v.f.table(v.f.follow(v.at + 4*int64(i))) }

// string is element i, of strings.
func (v flatVector) string(i int) string {
	return string(v.f.vector(v.f.follow(v.at+4*int64(i)), 1).raw)
}
