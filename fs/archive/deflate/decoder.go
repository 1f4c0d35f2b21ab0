package deflate

import (
	"errors"
	"io"
)

// Window is how far back a stream may refer, in bytes (RFC 1951, 2).
const Window = 32 << 10

// Spare is how many bytes more than it is asked for a decoder needs in a buffer: the
// longest match, and what may be copied behind one.
const Spare = maxLength + 2*copied

// ErrCorrupt is the error of a stream that breaks the format's rules.
var ErrCorrupt = errors.New("deflate: corrupt")

// A Decoder inflates a stream. It can be used for one after the other.
type Decoder struct {
	in *Input
	// Bits that were taken out of the input and not used, the next one lowest. Between
	// calls they are fewer than 8, of the byte before the input's position.
	bits  uint64
	count uint

	behind int // bytes that the stream has inflated so far, or a window's worth
	within state
	last   bool // the block is the stream's last
	stored int  // bytes that are left of a stored block
	err    error

	fixed   bool  // the tables are those of the fixed codes
	symbols table // literals, lengths and the end of a block
	offsets table
	lengths [maxSymbols + maxOffsets]byte // of codes
}

// A state is where in a stream a decoder is.
type state uint8

const (
	between    state = iota // blocks
	compressed              // within such a block
	raw                     // within a stored block
)

// Begin begins a stream at the input's position.
func (d *Decoder) Begin(in *Input) {
	d.in, d.bits, d.count, d.behind, d.within, d.last, d.err = in, 0, 0, 0, between, false, nil
}

// Resume goes on between two blocks of a stream: bits of the input's next byte belong
// to what is before, and window bytes of what was inflated before will stand before
// what is inflated.
func (d *Decoder) Resume(in *Input, bits uint8, window int) error {
	d.Begin(in)
	d.behind = min(window, Window)
	if bits > 0 {
		b, err := in.ReadByte()
		if err != nil {
			return in.failure()
		}
		d.bits, d.count = uint64(b)>>bits, 8-uint(bits&7)
	}
	return nil
}

// Position is the offset in the input of the byte with the next bit of the stream, and
// how many of its bits were used. Where the stream has ended that byte is no part of
// what follows.
func (d *Decoder) Position() (offset int64, bits uint8) {
	if d.count == 0 {
		return d.in.Offset(), 0
	}
	return d.in.Offset() - 1, uint8(8 - d.count) //nolint:gosec // 1 to 7
}

// Inflate inflates into out[n:], until no more than [Spare] bytes are left there, or a
// block has ended, and returns where in out it has come to. Before n stand the bytes
// that the stream inflated before, or the last [Window] of them. What follows in out is
// overwritten. io.EOF is the end of the stream; the input can be read on there. After an
// error there is nothing but that error.
//
// After a block ([Decoder.Between]) it begins with the next one.
func (d *Decoder) Inflate(out []byte, n int) (int, error) {
	if d.err != nil {
		return n, d.err
	}
	floor := n - min(d.behind, n) // of what the stream may refer to
	from := n
	n, d.err = d.inflate(out, n, floor)
	d.behind = min(d.behind+n-from, Window)
	return n, d.err
}

// Between tells whether the decoder is between two blocks.
func (d *Decoder) Between() bool { return d.err == nil && d.within == between }

func (d *Decoder) inflate(out []byte, n, floor int) (int, error) {
	if d.within == between {
		if err := d.header(); err != nil {
			return n, err
		}
	}
	var err error
	var done bool
	if d.within == raw {
		n, done, err = d.copyStored(out, n)
	} else {
		n, done, err = d.decode(out, n, floor)
	}
	if err != nil || !done {
		return n, err
	}
	d.within = between
	if d.last {
		return n, io.EOF
	}
	return n, nil
}
