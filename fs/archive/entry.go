package archive

import (
	"errors"
	"fmt"
)

// A Type is what an entry is. Its values are those of S_IFMT (inode(7)), and
// of typeHardlink, which only archives have.
type Type uint32

// The types of entries.
const (
	TypeFIFO    Type = 0o010000
	TypeChar    Type = 0o020000
	TypeDir     Type = 0o040000
	TypeBlock   Type = 0o060000
	TypeRegular Type = 0o100000
	TypeSymlink Type = 0o120000

	typeMask          = 0o170000
	typeHardlink Type = 0o150000
)

// modeMask is what an archive decides of a mode beside the type: permissions,
// setuid, setgid and sticky.
const modeMask = 0o7777

// An entry is one entry of an archive, in the archive's order.
type entry struct {
	name  string // as the archive has it
	typ   Type
	mode  uint32 // modeMask of it
	uid   uint32
	gid   uint32
	mtime mtime
	link  string // target of a symbolic or hard link
	major uint32
	minor uint32

	xattrs []Xattr // in any order

	size    int64    // of a regular file
	extents []extent // where its bytes are; between them are zeros
}

// An mtime is a time of modification: seconds since 1970, and nanoseconds.
type mtime struct {
	sec  int64
	nsec uint32
}

// An extent is a part of a file's content: length bytes, at offset in the file,
// that are in the stream at offset stream.
type extent struct {
	offset, stream, length int64
}

// whole is the content of a file without holes.
func whole(stream, size int64) []extent {
	if size == 0 {
		return nil
	}
	return []extent{{stream: stream, length: size}}
}

// An Xattr is an extended attribute.
type Xattr struct {
	Name, Value string
}

// Bounds of one entry, in bytes. The first three are Linux' (limits.h): what
// exceeds them can't be a file.
const (
	maxName   = 255
	maxTarget = 4095
	maxXattrs = 64 << 10 // names, and each value

	maxPath = 64<<10 - 1
)

// errSkipped marks an entry that can't be a file and is left out.
var errSkipped = errors.New("left out")

func skipped(name, format string, args ...any) error {
	return fmt.Errorf("entry %.100q %w: %w", name, errSkipped, fmt.Errorf(format, args...))
}
