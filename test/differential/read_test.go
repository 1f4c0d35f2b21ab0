package differential

import (
	"crypto/sha256"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// readTree reads all that is below a directory. What can't be read is in the
// tree as that.
func readTree(root string) tree {
	t, inodes, first := tree{}, map[string]uint64{}, map[uint64]string{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t[dir] = failed(err)
			return
		}
		for _, n := range names {
			p := filepath.Join(dir, n.Name())
			f, inode := readFact(filepath.Join(root, p))
			if told := kindOf(n.Type()); f.Failure == "" && told != f.Kind {
				f.Failure = "listed as " + told
			}
			t[p] = f
			if f.Kind == "dir" {
				walk(p)
				continue
			}
			inodes[p] = inode
			if before, ok := first[inode]; !ok || p < before {
				first[inode] = p
			}
		}
	}
	walk("")
	for p, inode := range inodes {
		f := t[p]
		if f.Failure == "" {
			f.Same = first[inode]
		}
		t[p] = f
	}
	return t
}

// readFact reads all of a name and its inode's number.
func readFact(p string) (fact, uint64) {
	var st unix.Stat_t
	if _, err := untilDone(func() (int, error) { return 0, unix.Lstat(p, &st) }); err != nil {
		return failed(err), 0
	}
	f := fact{Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, MTime: st.Mtim.Nano()}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.Kind, f.Size = "file", st.Size
		f.Content, err = readContent(p)
	case unix.S_IFDIR:
		f.Kind = "dir"
	case unix.S_IFLNK:
		f.Kind, f.Size = "symlink", st.Size
		f.Target, err = os.Readlink(p)
	case unix.S_IFCHR:
		f.Kind, f.Device = "char", fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	case unix.S_IFBLK:
		f.Kind, f.Device = "block", fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	case unix.S_IFIFO:
		f.Kind = "fifo"
	default:
		f.Kind = "unknown"
	}
	if err != nil {
		return failed(err), 0
	}
	if f.Kind != "dir" {
		f.Links = uint64(st.Nlink)
	}
	if f.Xattrs, err = readXattrs(p); err != nil {
		return failed(err), 0
	}
	return f, st.Ino
}

// untilDone calls a system call again when a signal ended it: Go's runtime sends
// itself some.
func untilDone(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// failed is what is known of a name that couldn't be read.
func failed(err error) fact {
	if errors.Is(err, os.ErrNotExist) {
		return fact{Kind: "absent"}
	}
	// The path in front of the reason is where it was mounted or unpacked.
	if e := (*iofs.PathError)(nil); errors.As(err, &e) {
		err = fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return fact{Kind: "failed", Failure: ": " + err.Error()}
}

func kindOf(mode iofs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case iofs.ModeDir:
		return "dir"
	case iofs.ModeSymlink:
		return "symlink"
	case iofs.ModeDevice | iofs.ModeCharDevice:
		return "char"
	case iofs.ModeDevice:
		return "block"
	case iofs.ModeNamedPipe:
		return "fifo"
	}
	return "unknown"
}

// readContent is a file's content, or what stands for it where it is long.
func readContent(p string) (string, error) {
	content, err := os.ReadFile(p)
	if len(content) > 100 {
		return fmt.Sprintf("%d bytes, SHA-256 %x", len(content), sha256.Sum256(content)), err
	}
	return string(content), err
}

func readXattrs(p string) (map[string]string, error) {
	list := make([]byte, 64<<10)
	n, err := untilDone(func() (int, error) { return unix.Llistxattr(p, list) })
	if err != nil {
		return nil, fmt.Errorf("llistxattr: %w", err)
	}
	var xattrs map[string]string
	for key := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !strings.HasPrefix(key, "user.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := untilDone(func() (int, error) { return unix.Lgetxattr(p, key, value) })
		if err != nil {
			return nil, fmt.Errorf("lgetxattr %s: %w", key, err)
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[key] = string(value[:n])
	}
	return xattrs, nil
}
