package deflate

import "math/bits"

// Of a stream's codes (RFC 1951, 3.2.1 and 3.2.5).
const (
	maxBits    = 15
	maxSymbols = 288
	maxOffsets = 32
	endOfBlock = 256
	maxLength  = 258
)

// How many bits of a code the first look into a table takes. Longer ones take a second.
const (
	symbolBits = 11
	offsetBits = 8
	codeBits   = 7
)

// tableSize is what a table of symbols takes, in entries, with those for second looks:
// with complete codes of at most 15 bits for 288 symbols there are at most 2342, and
// fewer for offsets.
const tableSize = 2400

// A table has for each combination of the stream's next bits what they mean. It is
// used as a table of symbols, of offsets, and of the codes that describe both.
type table struct {
	entries [tableSize]entry
}

// An entry is what some bits mean:
//
//	bits 0 to 7    how many bits that is, with the extra bits that belong to it
//	bits 8 to 11   how many those are without the extra bits
//	bits 16 to 30  a value: a literal, or what the extra bits are added to
//	bit 12         the value is where the entries for a second look begin, and bits 8 to
//	               11 are how many bits that takes
//	bit 13         the end of a block
//	bit 15         not a value: it is the end of a block, or else an error
//	bit 31         literal
type entry uint32

const (
	isTable entry = 1 << 12
	isEnd   entry = 1 << 13
	special entry = 1 << 15
	literal entry = 1 << 31
)

func (e entry) bits() uint { return uint(e & 0xff) }
func (e entry) value() int { return int(e >> 16 & 0x7fff) }

// add is the value with the extra bits, which follow the code in b.
func (e entry) add(b uint64) int {
	return e.value() + int(b&(1<<(e&63)-1)>>(e>>8&15)) //nolint:gosec // at most 13 bits
}

// second is where the entry for a second look at b is.
func (e entry) second(b uint64) int {
	return e.value() + int(b&(1<<(e>>8&15)-1)) //nolint:gosec // within the table
}

// meaning is what a symbol means, without its code's bits: the value, its flags, and
// in the lowest bits how many extra bits follow.
type meaning func(symbol int) entry

func plain(symbol int) entry { return entry(symbol) << 16 } //nolint:gosec // at most 18

// lengthOf has for the symbols from 257 on the shortest length, and how many extra bits
// are added to it (RFC 1951, 3.2.5).
var lengthOf = [29][2]uint16{
	{3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}, {10, 0},
	{11, 1}, {13, 1}, {15, 1}, {17, 1}, {19, 2}, {23, 2}, {27, 2}, {31, 2},
	{35, 3}, {43, 3}, {51, 3}, {59, 3}, {67, 4}, {83, 4}, {99, 4}, {115, 4},
	{131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
}

func ofSymbol(symbol int) entry {
	switch {
	case symbol < endOfBlock:
		return literal | entry(symbol)<<16 //nolint:gosec // a byte
	case symbol == endOfBlock:
		return special | isEnd
	case symbol > endOfBlock+len(lengthOf):
		return special // the fixed codes have two that mean nothing
	}
	l := lengthOf[symbol-endOfBlock-1]
	return entry(l[0])<<16 | entry(l[1])
}

// ofOffset is by the rule of which the table in RFC 1951, 3.2.5 is made: from the fifth
// on, two symbols each have one extra bit more than the two before.
func ofOffset(symbol int) entry {
	switch {
	case symbol < 4:
		return entry(symbol+1) << 16 //nolint:gosec // at most 4
	case symbol < 30:
		extra := uint(symbol)/2 - 1
		return entry((2+symbol&1)<<extra+1)<<16 | entry(extra) //nolint:gosec // at most 24577
	}
	return special
}

// build makes the table of the codes of the given lengths, of which 0 is that a symbol
// has none; a first look takes first bits.
//
// Codes that leave some combinations without a meaning are refused, unless there is a
// single one of one bit, or none at all: as compress/flate does it, and zlib but for the
// codes of lengths.
func (t *table) build(lengths []byte, first uint, mean meaning) error {
	var count [maxBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	left := 1
	for _, n := range count[1:] {
		if left = left<<1 - n; left < 0 {
			return ErrCorrupt
		}
	}
	if left > 0 {
		if used > 1 || used != count[1] {
			return ErrCorrupt
		}
		for i := range 1 << first {
			t.entries[i] = special | entry(first) //nolint:gosec // at most symbolBits
		}
	}
	var begin [maxBits + 2]int
	for n, k := range count {
		begin[n+1] = begin[n] + k
	}
	var sorted [maxSymbols]uint16
	for symbol, n := range lengths {
		if n > 0 {
			sorted[begin[n]] = uint16(symbol) //nolint:gosec // at most 287
			begin[n]++
		}
	}
	t.fill(sorted[:used], &count, first, mean)
	return nil
}

// fill makes the entries of symbols, which are sorted by the lengths of their codes, of
// which there are count each.
func (t *table) fill(sorted []uint16, count *[maxBits + 1]int, first uint, mean meaning) {
	next := 1 << first // where the next entries for a second look are
	var second, begin int
	var prefix uint32 = 1 << maxBits // of those that are there now: none
	code, n := uint32(0), uint(0)
	left := 0 // symbols with codes of n bits
	for _, symbol := range sorted {
		for left == 0 {
			n++
			code <<= 1
			left = count[n]
		}
		reversed := bits.Reverse32(code) >> (32 - n)
		e := mean(int(symbol))
		entries, at, length := t.entries[:1<<first], reversed, n
		if n > first {
			if at := reversed & (1<<first - 1); at != prefix {
				prefix, begin = at, next
				second = secondBits(count, n, first, left)
				next += 1 << second
				t.entries[at] = isTable | entry(begin)<<16 | entry(second)<<8 | entry(first) //nolint:gosec // within the table
			}
			entries, at, length = t.entries[begin:next], reversed>>first, n-first
		}
		e = e&^0xff | e&0xff + entry(length) | entry(length)<<8
		for i := int(at); i < len(entries); i += 1 << length {
			entries[i] = e
		}
		code++
		left--
	}
}

// secondBits is how many bits the entries for a second look take which begin with a code
// of n bits, of whose length there are left: as many as make room for the longest of
// those that begin alike.
func secondBits(count *[maxBits + 1]int, n, first uint, left int) int {
	bits := n - first
	room := 1<<bits - left
	for first+bits < maxBits && room > 0 {
		bits++
		room = room<<1 - count[first+bits]
	}
	return int(bits)
}
