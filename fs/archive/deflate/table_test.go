package deflate

import (
	"bytes"
	"errors"
	"testing"
)

// described is a block that describes codes of the given lengths, those of symbols
// first, each as it is. What follows are zeros.
func described(symbols, offsets []byte) []byte {
	var packed []byte
	count := 0
	write := func(v, n int) { // the lowest bit first
		for ; n > 0; n-- {
			if count%8 == 0 {
				packed = append(packed, 0)
			}
			packed[count/8] |= byte(v&1) << (count % 8)
			v >>= 1
			count++
		}
	}
	write(1|2<<1, 3)
	write(len(symbols)-257, 5)
	write(len(offsets)-1, 5)
	write(19-4, 4)
	for i := range codeOrder {
		write(map[bool]int{true: 4, false: 0}[codeOrder[i] < 16], 3) // 16 codes of 4 bits
	}
	for _, n := range append(append([]byte(nil), symbols...), offsets...) {
		write(int(n>>3|n>>1&2|n<<1&4|n<<3&8), 4)
	}
	return append(packed, make([]byte, 8)...)
}

// TestCodes tries which codes are taken: those that zlib takes.
func TestCodes(t *testing.T) {
	// with gives some symbols codes of these lengths.
	with := func(lengths map[int]byte) []byte {
		l := make([]byte, 286)
		for i, n := range lengths {
			l[i] = n
		}
		return l
	}
	two := with(map[int]byte{'a': 1, endOfBlock: 1})
	for name, c := range map[string]struct {
		symbols, offsets []byte
		taken            bool
	}{
		"complete":                      {two, []byte{1, 1}, true},
		"no offset":                     {two, []byte{0}, true},
		"one offset of one bit":         {two, []byte{0, 0, 1}, true},
		"one offset of two bits":        {two, []byte{0, 0, 2}, false},
		"too few offsets":               {two, []byte{2, 2, 2}, false},
		"too many offsets":              {two, []byte{1, 1, 1}, false},
		"offsets of 15 bits":            {two, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15}, true},
		"30 offsets":                    {two, append(bytes.Repeat([]byte{5}, 28), 4, 4), true},
		"31 offsets":                    {two, append(bytes.Repeat([]byte{5}, 30), 4), false},
		"the end alone":                 {with(map[int]byte{endOfBlock: 1}), []byte{0}, true},
		"too many symbols":              {with(map[int]byte{'a': 1, 'b': 1, endOfBlock: 1}), []byte{0}, false},
		"too few symbols":               {with(map[int]byte{'a': 2, 'b': 2, endOfBlock: 2}), []byte{0}, false},
		"no end":                        {with(map[int]byte{'a': 1, 'b': 1}), []byte{0}, false},
		"287 symbols":                   {append(bytes.Clone(two), 0), []byte{0}, false},
		"symbols of more than one look": {with(map[int]byte{0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11, 11: 12, 12: 13, 13: 14, 14: 15, endOfBlock: 15}), []byte{0}, true},
	} {
		var d Decoder
		d.Begin(whole(string(described(c.symbols, c.offsets))))
		_, err := d.Inflate(make([]byte, Spare+1), 0)
		if taken := !errors.Is(err, ErrCorrupt); taken != c.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}
