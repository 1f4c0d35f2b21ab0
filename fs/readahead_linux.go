package fs

import (
	"fmt"
	"os"
	"strconv"
)

// readAhead is how far the kernel reads ahead of a program, in KiB: a request.
// Its default, 128, cuts what a program reads into requests of that size, and a
// gigabyte that is in the cache takes a third longer. Further ahead is no faster,
// and dearer for mmap: a page that is touched brings all of it.
const readAhead = requestSize >> 10

// widen has the kernel read further ahead of programs: then a request is as
// large as the kernel lets it be. Root alone may set that; it is a matter of
// speed and no error where it can't be.
func (a *attachment) widen() error {
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", a.major, a.minor)
	return os.WriteFile(path, []byte(strconv.Itoa(readAhead)), 0) // it is there
}
