package fs

import (
	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/orasfs/orasfs/fs/images"
)

// maxPagesAhead is up to which size a file's pages go to the kernel with its first open,
// in bytes: what the kernel would ask for in its first read.
const maxPagesAhead = 128 << 10

// pagesAhead gives the kernel the pages of a file that is opened for the first time, if
// they are in memory and right. Who opens a file reads it, and one question fewer for each
// is a quarter of what reading many small ones takes.
//
// That the kernel doesn't take them is no failure: it asks. Where it is asking already, for
// another who has just opened the file too, it takes them when that is answered.
func pagesAhead(n *fusefs.Inode, file *images.File) {
	if data, ok := file.Held(); ok {
		_ = n.WriteCache(0, data)
	}
}
