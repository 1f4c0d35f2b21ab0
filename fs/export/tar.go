package export

import (
	"archive/tar"
	"bytes"
	"fmt"
	"sort"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// A Tar says what stands where in a tar that nobody has made: it is read at any
// offset, and no more than what is read is ever there.
type Tar struct {
	closure *Closure
	pieces  []tarPiece
	size    int64
}

// A tarPiece is a run of bytes of the tar: a header, the content that follows it,
// or zeros.
type tarPiece struct {
	at, size int64
	header   *tar.Header // of a header
	content  []byte      // of a small file
	member   int         // of a blob or a manifest, its place in the closure, from 1 on
}

// tarBlock is what headers and contents are multiples of, in bytes (POSIX, pax,
// "ustar Interchange Format").
const tarBlock = 512

// Tar lays out a closure: the files of the layout, its directories, and its members
// in their order.
func (c *Closure) Tar() (*Tar, error) {
	t := &Tar{closure: c}
	// A reader of a stream sees that it is a layout before it sees a blob.
	for _, f := range c.Files {
		if err := t.add(f.Name, tarPiece{content: f.Content, size: int64(len(f.Content))}); err != nil {
			return nil, err
		}
	}
	directories := []string{ocispec.ImageBlobsDir + "/"}
	for _, a := range c.Algorithms() {
		directories = append(directories, ocispec.ImageBlobsDir+"/"+a.String()+"/")
	}
	for _, name := range directories {
		if err := t.add(name, tarPiece{}); err != nil {
			return nil, err
		}
	}
	for i, m := range c.Members {
		if err := t.add(resolver.BlobPath(m.Digest), tarPiece{member: i + 1, size: m.Size}); err != nil {
			return nil, err
		}
	}
	t.size += 2 * tarBlock // the end of the archive
	return t, nil
}

// Size is the tar's, in bytes.
func (t *Tar) Size() int64 { return t.size }

// add appends an entry. A name that ends with a slash is a directory's.
func (t *Tar) add(name string, content tarPiece) error {
	modified := t.closure.Created
	if modified.IsZero() {
		modified = time.Unix(0, 0)
	}
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: content.size, ModTime: modified}
	if name[len(name)-1] == '/' {
		header.Typeflag, header.Mode = tar.TypeDir, 0o755
	}
	encoded, err := encodeHeader(header)
	if err != nil {
		return err
	}
	t.pieces = append(t.pieces, tarPiece{at: t.size, size: int64(len(encoded)), header: header})
	t.size += int64(len(encoded))
	if content.size == 0 {
		return nil
	}
	content.at = t.size
	t.pieces = append(t.pieces, content)
	t.size += (content.size + tarBlock - 1) / tarBlock * tarBlock
	return nil
}

// encodeHeader is a header as it stands in a tar: one block, or three where the
// name or the size need a pax record.
func encodeHeader(h *tar.Header) ([]byte, error) {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("tar header of %s: %w", h.Name, err)
	}
	return b.Bytes(), nil
}

// at is the piece that holds the byte at an offset. Between pieces, and after the
// last one, are zeros: the piece is nil then, and end is where they end.
func (t *Tar) at(off int64) (piece *tarPiece, end int64) {
	i := sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].at > off })
	if i > 0 {
		if last := &t.pieces[i-1]; off < last.at+last.size {
			return last, last.at + last.size
		}
	}
	if i < len(t.pieces) {
		return nil, t.pieces[i].at
	}
	return nil, t.size
}

// read fills b, which lies within the tar, from off on. What the members hold is
// read by member, which fills what it is given or fails.
func (t *Tar) read(b []byte, off int64, member func(b []byte, i int, off int64) error) error {
	for len(b) > 0 {
		piece, end := t.at(off)
		part := b[:min(int64(len(b)), end-off)]
		switch {
		case piece == nil:
			clear(part)
		case piece.header != nil:
			encoded, err := encodeHeader(piece.header)
			if err != nil {
				return err
			}
			copy(part, encoded[off-piece.at:])
		case piece.member == 0:
			copy(part, piece.content[off-piece.at:])
		default:
			if err := member(part, piece.member-1, off-piece.at); err != nil {
				return err
			}
		}
		b, off = b[len(part):], off+int64(len(part))
	}
	return nil
}
