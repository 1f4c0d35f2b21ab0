package deflate

import "encoding/binary"

// copied is how many bytes of a match are copied at once.
const copied = 8

// decode inflates what is left of a compressed block (RFC 1951, 3.2.3), or as much of
// it as out has room for.
//
// Before each symbol there are 56 bits at least: a length and its offset are of 48 at
// most, with their extra bits.
func (d *Decoder) decode(out []byte, n, floor int) (int, bool, error) {
	in := d.in
	symbols, offsets := &d.symbols.entries, &d.offsets.entries
	buf, pos, bits, count := in.buf, in.pos, d.bits, d.count
	most := len(out) - Spare
	sure := n // what was inflated of bits that there are
	for {
		if pos > in.end-2*copied {
			// Zeros follow the last bytes of the input. That they were used shows here.
			if d.put(pos, bits, count); in.pos > in.end {
				return sure, false, in.failure()
			}
			for in.end-in.pos < 2*copied && in.more() {
			}
			buf, pos, bits, count = in.buf, in.pos, d.bits, d.count
		}
		if sure = n; n >= most {
			d.put(pos, bits, count)
			return n, false, nil
		}
		bits |= binary.LittleEndian.Uint64(buf[pos:]) << (count & 63)
		pos += int(63-count) >> 3 //nolint:gosec // at most 7
		count |= 56
		e := symbols[bits&(1<<symbolBits-1)]
		if e&isTable != 0 {
			bits, count = bits>>symbolBits, count-symbolBits
			e = symbols[e.second(bits)]
		}
		if e&literal != 0 {
			bits, count = bits>>(e&63), count-e.bits()
			out[n] = byte(e >> 16) //nolint:gosec // the literal; what is above it is cut off
			n++
			continue
		}
		if e&special != 0 {
			d.put(pos, bits>>(e&63), count-e.bits())
			return n, e&isEnd != 0, d.left(e)
		}
		length := e.add(bits)
		bits, count = bits>>(e&63), count-e.bits()
		if e = offsets[bits&(1<<offsetBits-1)]; e&isTable != 0 {
			bits, count = bits>>offsetBits, count-offsetBits
			e = offsets[e.second(bits)]
		}
		offset := e.add(bits)
		bits, count = bits>>(e&63), count-e.bits()
		if e&special != 0 || offset > n-floor {
			d.put(pos, bits, count)
			return n, false, d.left(special)
		}
		match(out, n, length, offset)
		n += length
	}
}

// left is the error of a block that is left at a symbol which is no byte and no length.
func (d *Decoder) left(e entry) error {
	switch {
	case d.in.pos > d.in.end:
		return d.in.failure()
	case e&isEnd == 0:
		return ErrCorrupt
	}
	return nil
}

// put makes the input's position that of the next bit, whose byte may have been used
// in part.
func (d *Decoder) put(pos int, bits uint64, count uint) {
	d.in.pos = pos - int(count>>3) //nolint:gosec // at most 7
	d.count = count & 7
	d.bits = bits & (1<<d.count - 1)
}

// match copies length bytes to out[n:] from so many bytes before. What follows them is
// overwritten, less than [copied] bytes.
func match(out []byte, n, length, offset int) {
	from, end := n-offset, n+length
	switch {
	case offset >= length && length > 4*copied:
		copy(out[n:end], out[from:])
	case offset >= copied:
		for n < end {
			binary.LittleEndian.PutUint64(out[n:], binary.LittleEndian.Uint64(out[from:]))
			n += copied
			from += copied
		}
	case offset == 1:
		same := uint64(out[from]) * 0x0101010101010101
		for ; n < end; n += copied {
			binary.LittleEndian.PutUint64(out[n:], same)
		}
	default:
		for ; n < end; n++ {
			out[n] = out[from]
			from++
		}
	}
}
