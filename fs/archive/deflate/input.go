package deflate

import (
	"errors"
	"io"
)

// An Input is what streams are read from, one after the other and whatever stands
// between them, through a buffer.
type Input struct {
	r     io.Reader // nil: all there is stands in buf
	buf   []byte    // zeros follow behind end, see Padding
	pos   int       // of what is read next
	end   int
	begin int64 // offset of buf[0]
	err   error // why there is nothing behind end
}

// Padding is how many zeros follow what was read, so that a decoder may look at the
// eight bytes that follow, wherever it is.
const Padding = 16

// NewInput reads r through a buffer of size bytes.
func NewInput(r io.Reader, size int) *Input {
	return &Input{r: r, buf: make([]byte, max(size, 64)+Padding)}
}

// NewInputBytes reads all of padded but its last [Padding] bytes, which are zeros.
func NewInputBytes(padded []byte) *Input {
	return &Input{buf: padded, end: len(padded) - Padding, err: io.EOF}
}

// Offset is how many bytes were read.
func (in *Input) Offset() int64 { return in.begin + int64(in.pos) }

// more reads what follows, behind what wasn't read yet: false is that there is nothing,
// for the reason err.
func (in *Input) more() bool {
	if in.err != nil {
		return false
	}
	n := copy(in.buf, in.buf[in.pos:in.end])
	in.begin += int64(in.pos)
	in.pos, in.end = 0, n
	for range 100 {
		n, err := in.r.Read(in.buf[in.end : len(in.buf)-Padding])
		in.end += n
		clear(in.buf[in.end:min(in.end+Padding, len(in.buf))])
		in.err = err
		if n > 0 || err != nil {
			return n > 0
		}
	}
	in.err = io.ErrNoProgress
	return false
}

// ReadByte implements io.ByteReader.
func (in *Input) ReadByte() (byte, error) {
	if in.pos == in.end && !in.more() {
		return 0, in.err
	}
	b := in.buf[in.pos]
	in.pos++
	return b, nil
}

// Read implements io.Reader.
func (in *Input) Read(p []byte) (int, error) {
	if in.pos == in.end && !in.more() {
		return 0, in.err
	}
	n := copy(p, in.buf[in.pos:in.end])
	in.pos += n
	return n, nil
}

// failure is the error of a stream that wants more than there is.
func (in *Input) failure() error {
	if errors.Is(in.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return in.err
}
