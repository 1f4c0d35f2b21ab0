package archive

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// A tarHeader is a block of 512 bytes: POSIX.1-1988 ustar, GNU's, or Unix V7's.
type tarHeader []byte

func (h tarHeader) flag() byte { return h[156] }

// What is at 257: POSIX's magic number and GNU's, which has the version in it.
const (
	magicUSTAR = "ustar\x00"
	magicGNU   = "ustar  \x00"
)

// prefix is the first part of a name that is longer than its own field, "" where
// there is none. In its place star and GNU tar have times too.
func (h tarHeader) prefix() string {
	switch magic := string(h[257:265]); {
	case strings.HasPrefix(magic, magicUSTAR) && string(h[508:512]) == "tar\x00":
		return cString(h[345:476]) // star
	case strings.HasPrefix(magic, magicUSTAR):
		return cString(h[345:500])
	case magic == magicGNU && !(h.isTime(345) && h.isTime(357)):
		// No header of GNU's, but one by Go before 1.8, which wrote a prefix
		// here (golang.org/issue/12594). Its reader tells them apart so, too.
		if prefix := cString(h[345:500]); isASCII(prefix) {
			return prefix
		}
	}
	return ""
}

// isTime tells whether a field of 12 bytes may be a time, or is empty.
func (h tarHeader) isTime(at int) bool {
	field := h[at : at+12]
	if field[0] == 0 {
		return true
	}
	if field[0]&0x80 != 0 {
		_, err := binaryNumber(field)
		return err == nil
	}
	digits := cString(bytes.Trim(field, " \x00"))
	_, err := strconv.ParseUint(digits, 8, 64)
	return digits == "" || err == nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// check compares the checksum: the sum of all bytes, those of the checksum
// itself taken for blanks. Old writers added them as signed.
func (h tarHeader) check() error {
	want, err := h.number(148, 8)
	if err != nil {
		return badTar("no header")
	}
	var unsigned, signed int64
	for i, c := range h {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c)) //nolint:gosec // as old writers did
	}
	if want != unsigned && want != signed {
		return badTar("a header's checksum is wrong")
	}
	return nil
}

// number reads a field: octal digits, or, where its first bit is set, a
// big-endian number in two's complement (GNU).
func (h tarHeader) number(at, length int) (int64, error) {
	field := h[at : at+length]
	if field[0]&0x80 != 0 {
		return binaryNumber(field)
	}
	digits := bytes.Trim(field, " \x00")
	var n int64
	for _, c := range digits {
		if c == 0 || c == ' ' {
			break // some writers leave bytes after the end
		}
		if c < '0' || c > '7' || n > math.MaxInt64>>3 {
			return 0, badTar("the number %q", field)
		}
		n = n<<3 | int64(c-'0')
	}
	return n, nil
}

func binaryNumber(field []byte) (int64, error) {
	negative := field[0]&0x40 != 0
	var n uint64
	for i, c := range field {
		if negative {
			c = ^c
		}
		if i == 0 {
			c &= 0x7f
			if negative {
				c &= 0x3f
			}
		}
		if n>>56 != 0 {
			return 0, badTar("the number %x", field)
		}
		n = n<<8 | uint64(c)
	}
	if n > math.MaxInt64 {
		return 0, badTar("the number %x", field)
	}
	if negative {
		return ^int64(n), nil //nolint:gosec // checked above
	}
	return int64(n), nil //nolint:gosec // checked above
}

// typ is the type of an entry; 0 is one that can't be a file.
func (h tarHeader) typ() Type {
	switch h.flag() {
	case '0', 0, '7', 'S':
		return TypeRegular
	case '1':
		return typeHardlink
	case '2':
		return TypeSymlink
	case '3':
		return TypeChar
	case '4':
		return TypeBlock
	case '5', 'D':
		return TypeDir
	case '6':
		return TypeFIFO
	}
	return 0
}

// entry is what the header alone says. size is that of the content in the
// archive.
func (h tarHeader) entry() (e *entry, size int64, err error) {
	e = &entry{name: cString(h[:100]), typ: h.typ(), link: cString(h[157:257])}
	if prefix := h.prefix(); prefix != "" {
		e.name = prefix + "/" + e.name
	}
	fields := []struct {
		at, length int
		to         *int64
	}{
		{100, 8, new(int64)}, {108, 8, new(int64)}, {116, 8, new(int64)}, {124, 12, &size}, {136, 12, &e.mtime.sec},
		{329, 8, new(int64)}, {337, 8, new(int64)},
	}
	if e.typ != TypeChar && e.typ != TypeBlock {
		fields = fields[:5]
	}
	for _, f := range fields {
		if *f.to, err = h.number(f.at, f.length); err != nil {
			return nil, 0, err
		}
	}
	e.mode, e.uid, e.gid = uint32(*fields[0].to&modeMask), id(*fields[1].to), id(*fields[2].to) //nolint:gosec // masked
	if len(fields) > 5 {
		e.major, e.minor = id(*fields[5].to), id(*fields[6].to)
	}
	return e, size, nil
}

// id is a number of 32 bits; what isn't one is that of nobody.
func id(n int64) uint32 {
	if n < 0 || n > math.MaxUint32 {
		return nobody
	}
	return uint32(n)
}

// nobody is the overflow id of Linux.
const nobody = 65534
