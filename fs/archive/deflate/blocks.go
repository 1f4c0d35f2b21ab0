package deflate

import "encoding/binary"

// take is the next bits of the stream, at most 32.
func (d *Decoder) take(n uint) (uint32, error) {
	for d.count < n {
		b, err := d.in.ReadByte()
		if err != nil {
			return 0, d.in.failure()
		}
		d.bits |= uint64(b) << d.count
		d.count += 8
	}
	v := uint32(d.bits & (1<<n - 1)) //nolint:gosec // at most 32 bits
	d.bits >>= n
	d.count -= n
	return v, nil
}

// header reads a block's header (RFC 1951, 3.2.3).
func (d *Decoder) header() error {
	h, err := d.take(3)
	if err != nil {
		return err
	}
	d.last = h&1 != 0
	switch h >> 1 {
	case 0:
		d.within = raw
		return d.storedHeader()
	case 1:
		d.within = compressed
		return d.fixedCodes()
	case 2:
		d.within = compressed
		return d.dynamicCodes()
	}
	return ErrCorrupt
}

// storedHeader reads how long a stored block is (RFC 1951, 3.2.4).
func (d *Decoder) storedHeader() error {
	d.bits, d.count = 0, 0 // the rest of a byte; no more than that is held here
	var head [4]byte
	for i := range head {
		b, err := d.in.ReadByte()
		if err != nil {
			return d.in.failure()
		}
		head[i] = b
	}
	n := binary.LittleEndian.Uint16(head[:])
	if binary.LittleEndian.Uint16(head[2:]) != ^n {
		return ErrCorrupt
	}
	d.stored = int(n)
	return nil
}

// copyStored copies what is left of a stored block.
func (d *Decoder) copyStored(out []byte, n int) (int, bool, error) {
	for d.stored > 0 {
		room := min(len(out)-Spare-n, d.stored)
		if room <= 0 {
			return n, false, nil
		}
		k, err := d.in.Read(out[n : n+room])
		n, d.stored = n+k, d.stored-k
		if k == 0 && err != nil {
			return n, false, d.in.failure()
		}
	}
	return n, true, nil
}

// fixedCodes has the tables be of the codes that need no description (RFC 1951, 3.2.6).
func (d *Decoder) fixedCodes() error {
	if d.fixed {
		return nil
	}
	l := d.lengths[:288+32]
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		case i < 288:
			l[i] = 8
		default:
			l[i] = 5
		}
	}
	d.fixed = true
	return d.build(288, 32)
}

// codeOrder is the order in which the lengths of the codes for lengths come (RFC 1951,
// 3.2.7).
var codeOrder = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicCodes reads the description of a block's codes (RFC 1951, 3.2.7).
func (d *Decoder) dynamicCodes() error {
	h, err := d.take(14)
	if err != nil {
		return err
	}
	symbols, offsets, codes := int(h&31)+257, int(h>>5&31)+1, int(h>>10)+4
	if symbols > 286 || offsets > 30 {
		return ErrCorrupt
	}
	var lengths [19]byte
	for _, i := range codeOrder[:codes] {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		lengths[i] = byte(n) //nolint:gosec // three bits
	}
	// The tables are overwritten.
	d.fixed = false
	if err := d.offsets.build(lengths[:], codeBits, plain); err != nil {
		return err
	}
	if err := d.readLengths(d.lengths[:symbols+offsets]); err != nil {
		return err
	}
	return d.build(symbols, offsets)
}

// readLengths reads the lengths of codes, by the codes for lengths.
func (d *Decoder) readLengths(lengths []byte) error {
	for i := 0; i < len(lengths); {
		code, err := d.code()
		if err != nil {
			return err
		}
		if code < 16 {
			lengths[i] = byte(code) //nolint:gosec // below 16
			i++
			continue
		}
		var value byte
		bits, base := uint(2), 3
		switch code {
		case 16: // the length before, again
			if i == 0 {
				return ErrCorrupt
			}
			value = lengths[i-1]
		case 17:
			bits = 3
		default:
			bits, base = 7, 11
		}
		more, err := d.take(bits)
		if err != nil {
			return err
		}
		n := base + int(more)
		if n > len(lengths)-i {
			return ErrCorrupt
		}
		for range n {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// code reads one code for a length.
func (d *Decoder) code() (int, error) {
	for {
		e := d.offsets.entries[d.bits&(1<<codeBits-1)]
		// With few bits the entry may be of a longer code that happens to go on with zeros.
		if n := e.bits(); n <= d.count && e&special == 0 {
			d.bits >>= n
			d.count -= n
			return e.value(), nil
		} else if d.count >= codeBits {
			return 0, ErrCorrupt
		}
		b, err := d.in.ReadByte()
		if err != nil {
			return 0, d.in.failure()
		}
		d.bits |= uint64(b) << d.count
		d.count += 8
	}
}

// build makes the tables of codes whose lengths stand in d.lengths, those of symbols
// first.
func (d *Decoder) build(symbols, offsets int) error {
	if d.lengths[endOfBlock] == 0 {
		return ErrCorrupt // the block would have no end
	}
	if err := d.symbols.build(d.lengths[:symbols], symbolBits, ofSymbol); err != nil {
		return err
	}
	return d.offsets.build(d.lengths[symbols:symbols+offsets], offsetBits, ofOffset)
}
