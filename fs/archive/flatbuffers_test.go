package archive

import "encoding/binary"

// An fbValue is a value in a flatbuffer in the making; nil is a field that a
// table doesn't have.
type fbValue interface{}

type (
	fbUint8  uint8
	fbInt32  uint32
	fbInt64  int64
	fbString []byte
	fbVector []fbValue // of strings and tables
	fbTable  []fbValue // by field
)

// An fbShared is a value that several offsets lead to. Offsets lead forward, so
// it is written last.
type fbShared struct {
	value fbValue
	from  []int
}

// encodeFlatbuffer is a buffer with that root. Fields aren't aligned, which
// nothing here asks for.
func encodeFlatbuffer(root fbTable) []byte {
	w := fbWriter{raw: make([]byte, 4)}
	w.refer(0, root)
	if w.shared != nil {
		at := w.value(w.shared.value)
		for _, from := range w.shared.from {
			binary.LittleEndian.PutUint32(w.raw[from:], uint32(at-from))
		}
	}
	return w.raw
}

type fbWriter struct {
	raw    []byte
	shared *fbShared // the one there may be
}

// refer writes a value at the end, and at a position the offset to it.
func (w *fbWriter) refer(at int, v fbValue) {
	if shared, ok := v.(*fbShared); ok {
		shared.from = append(shared.from, at)
		w.shared = shared
		return
	}
	to := w.value(v)
	binary.LittleEndian.PutUint32(w.raw[at:], uint32(to-at))
}

// value writes what is referred to, and returns where it is.
func (w *fbWriter) value(v fbValue) int {
	at := len(w.raw)
	switch v := v.(type) {
	case fbString:
		w.raw = binary.LittleEndian.AppendUint32(w.raw, uint32(len(v)))
		w.raw = append(append(w.raw, v...), 0)
	case fbVector:
		w.raw = binary.LittleEndian.AppendUint32(w.raw, uint32(len(v)))
		w.raw = append(w.raw, make([]byte, 4*len(v))...)
		for i, element := range v {
			w.refer(at+4+4*i, element)
		}
	case fbTable:
		return w.table(v)
	}
	return at
}

func (w *fbWriter) table(fields fbTable) int {
	vtable := len(w.raw)
	size := 4 + 2*len(fields)
	w.raw = append(w.raw, make([]byte, size)...)
	at := len(w.raw)
	w.raw = binary.LittleEndian.AppendUint32(w.raw, uint32(at-vtable))
	places := make([]int, len(fields))
	for i, field := range fields {
		if field == nil {
			continue
		}
		places[i] = len(w.raw)
		switch v := field.(type) {
		case fbUint8:
			w.raw = append(w.raw, byte(v))
		case fbInt32:
			w.raw = binary.LittleEndian.AppendUint32(w.raw, uint32(v))
		case fbInt64:
			w.raw = binary.LittleEndian.AppendUint64(w.raw, uint64(v))
		default:
			w.raw = append(w.raw, 0, 0, 0, 0)
		}
		binary.LittleEndian.PutUint16(w.raw[vtable+4+2*i:], uint16(places[i]-at))
	}
	binary.LittleEndian.PutUint16(w.raw[vtable:], uint16(size))
	binary.LittleEndian.PutUint16(w.raw[vtable+2:], uint16(len(w.raw)-at))
	for i, field := range fields {
		switch field.(type) {
		case nil, fbUint8, fbInt32, fbInt64:
		default:
			w.refer(places[i], field)
		}
	}
	return at
}
