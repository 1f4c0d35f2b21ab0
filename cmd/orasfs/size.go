package main

import (
	"errors"
	"strconv"

	"github.com/docker/go-units"
)

// A byteSize is a flag that holds a number of bytes, greater than zero. It is
// written in bytes or in binary units: 10GiB, 64m, 1048576.
type byteSize int64

// maxByteSize, 1 EiB, is far from where an int64 overflows when two sizes are
// added.
const maxByteSize = 1 << 60

func (s *byteSize) Set(text string) error {
	n, err := units.RAMInBytes(text)
	if err != nil {
		return errors.New("not a size: write bytes or units, like 1048576, 64MiB or 10GiB")
	}
	if n <= 0 || n > maxByteSize {
		return errors.New("out of range: more than 0 and at most 1 EiB")
	}
	*s = byteSize(n)
	return nil
}

// String is exact, so that it can be parsed again.
func (s *byteSize) String() string {
	n, unit := int64(*s), 0
	suffixes := []string{"", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for n != 0 && n%1024 == 0 && unit < len(suffixes)-1 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + suffixes[unit]
}

func (s *byteSize) Type() string { return "size" }
